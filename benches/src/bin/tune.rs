//! Prints what each instruction set takes for each number of chains: what the tables of `digest-lanes` are made of.

use benches::Race;
use benches::data::Digests;
use nitrotpm_digest_lanes::{Backends, DigestBytes, ExtendChain, Platform};

/// Extends of a chain.
const LENGTH: usize = 24;

fn tune<B: DigestBytes>() {
    println!("{}: nanoseconds an extend, by number of chains", B::ALGORITHM);
    let numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 32];
    let digests = Digests::<B>::new(32, LENGTH);
    let chains = digests.chains(LENGTH);
    print!("{:>9}", "");
    numbers.iter().for_each(|number| print!("{number:>7}"));
    println!();
    for platform in Platform::available().filter(|platform| platform.lanes(B::ALGORITHM).is_some()) {
        let backends = Backends::forced(platform).expect("it is available");
        let mut race = Race::new();
        for number in numbers {
            let mut values = vec![*chains[0][0]; number];
            let chains = &chains;
            race.add(format!("{number}"), number * LENGTH, move || {
                let mut work: [_; 32] = std::array::from_fn(|i| ExtendChain {
                    value: values.get(i).copied().unwrap_or(*chains[0][0]),
                    digests: &chains[i],
                });
                backends.extend_many(&mut work[..number]);
                values.iter_mut().zip(&work).for_each(|(value, done)| *value = done.value);
            });
        }
        print!("{platform:>9}");
        race.run(40, 100.0).iter().for_each(|time| print!("{:>7.1}", time.nanoseconds));
        println!();
    }
}

fn main() {
    println!("{:.2} GHz", benches::clock_gigahertz());
    tune::<[u8; 20]>();
    tune::<[u8; 32]>();
    tune::<[u8; 48]>();
    tune::<[u8; 64]>();
}
