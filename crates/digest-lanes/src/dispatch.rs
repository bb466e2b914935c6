//! From the name of an instruction set to its code.

use crate::Platform;
use crate::bank::Bank;
use crate::drive::{Extending, Hashing};
use crate::kernel::Kernel;
use crate::portable::Portable;
use crate::stream::Streaming;

/// Chains or messages that a kernel can take up.
pub(crate) trait Work<B: Bank> {
    fn unfinished(&self) -> usize;
    fn run<K: Kernel<B, L>, const L: usize>(&mut self, kernel: K, least: usize);
}

macro_rules! work {
    ($type:ident, $($lifetime:lifetime),*) => {
        impl<B: Bank> Work<B> for $type<$($lifetime,)* B> {
            fn unfinished(&self) -> usize {
                $type::unfinished(self)
            }

            fn run<K: Kernel<B, L>, const L: usize>(&mut self, kernel: K, least: usize) {
                $type::run(self, kernel, least);
            }
        }
    };
}

work!(Extending, '_, '_);
work!(Hashing, '_, '_);
work!(Streaming, '_, '_, '_);

/// SHA-1 and SHA-256. A set that the processor lacks is replaced by the portable code.
#[cfg(target_arch = "x86_64")]
pub(crate) fn narrow<B, W>(platform: Platform, work: &mut W, least: usize)
where
    W: Work<B>,
    B: Bank,
    Portable: Kernel<B, 1>,
    crate::shani::ShaNi: Kernel<B, 1> + Kernel<B, 2> + Kernel<B, 3> + Kernel<B, 4>,
    crate::avx2::Avx2: Kernel<B, 8>,
    crate::avx512vl::Avx512Vl: Kernel<B, 8>,
    crate::avx512::Avx512: Kernel<B, 16>,
{
    match platform {
        Platform::Avx512 => {
            if let Some(kernel) = crate::avx512::Avx512::new() {
                return work.run::<_, 16>(kernel, least);
            }
        }
        Platform::Avx512Vl => {
            if let Some(kernel) = crate::avx512vl::Avx512Vl::new() {
                return work.run::<_, 8>(kernel, least);
            }
        }
        Platform::Avx2 => {
            if let Some(kernel) = crate::avx2::Avx2::new() {
                return work.run::<_, 8>(kernel, least);
            }
        }
        Platform::ShaNi => {
            if let Some(kernel) = crate::shani::ShaNi::new() {
                // Interleaving fewer is a kernel of its own: no chain is worked on in vain.
                return match work.unfinished() {
                    0 | 1 => work.run::<_, 1>(kernel, least),
                    2 => work.run::<_, 2>(kernel, least.max(2)),
                    3 => work.run::<_, 3>(kernel, least.max(3)),
                    _ => work.run::<_, 4>(kernel, least.max(4)),
                };
            }
        }
        Platform::Portable => {}
    }
    work.run::<_, 1>(Portable, 1);
}

/// SHA-384 and SHA-512. A set that the processor lacks is replaced by the portable code.
#[cfg(target_arch = "x86_64")]
pub(crate) fn wide<B, W>(platform: Platform, work: &mut W, least: usize)
where
    W: Work<B>,
    B: Bank,
    Portable: Kernel<B, 1>,
    crate::single::Single: Kernel<B, 1>,
    crate::avx2::Avx2: Kernel<B, 4>,
    crate::avx512vl::Avx512Vl: Kernel<B, 4>,
    crate::avx512::Avx512: Kernel<B, 8>,
{
    match platform {
        Platform::Avx512 => {
            if let Some(kernel) = crate::avx512::Avx512::new() {
                return work.run::<_, 8>(kernel, least);
            }
        }
        Platform::Avx512Vl => {
            if let Some(kernel) = crate::avx512vl::Avx512Vl::new() {
                return work.run::<_, 4>(kernel, least);
            }
        }
        Platform::Avx2 => {
            // One alone has a kernel of its own.
            let single = crate::single::Single::new();
            if let (Some(kernel), 1) = (single, work.unfinished()) {
                return work.run::<_, 1>(kernel, least);
            }
            if let Some(kernel) = crate::avx2::Avx2::new() {
                return work.run::<_, 4>(kernel, if single.is_some() { least.max(2) } else { least });
            }
        }
        Platform::ShaNi | Platform::Portable => {}
    }
    work.run::<_, 1>(Portable, 1);
}

/// Other processors have the portable code only, until code for them can be compiled and tested.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn narrow<B: Bank, W: Work<B>>(_: Platform, work: &mut W, _: usize)
where
    Portable: Kernel<B, 1>,
{
    work.run::<_, 1>(Portable, 1);
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use narrow as wide;
