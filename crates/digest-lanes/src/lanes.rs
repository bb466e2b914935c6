//! The rounds over vectors, written once for every instruction set.
//!
//! A file of an instruction set defines its operations as macros (`add32!`, `ror64!`, …), how it loads and transposes
//! digests (`columns_20`, `columns_32`, `columns_48`, `columns_64`), and then calls [`lane_kernels!`] once. The names
//! of macros are looked up where the call stands, so each file's rounds are made of its own operations.
//!
//! `apart32!` and `apart64!` hide a sum from the compiler: it would otherwise reorder the additions of a round and
//! put the constant and the schedule, which are known early, onto the path from one round to the next.

macro_rules! sixteen_rounds {
    ($round:ident, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        $round!(0, $a, $b, $c, $d, $e, $f, $g, $h);
        $round!(1, $h, $a, $b, $c, $d, $e, $f, $g);
        $round!(2, $g, $h, $a, $b, $c, $d, $e, $f);
        $round!(3, $f, $g, $h, $a, $b, $c, $d, $e);
        $round!(4, $e, $f, $g, $h, $a, $b, $c, $d);
        $round!(5, $d, $e, $f, $g, $h, $a, $b, $c);
        $round!(6, $c, $d, $e, $f, $g, $h, $a, $b);
        $round!(7, $b, $c, $d, $e, $f, $g, $h, $a);
        $round!(8, $a, $b, $c, $d, $e, $f, $g, $h);
        $round!(9, $h, $a, $b, $c, $d, $e, $f, $g);
        $round!(10, $g, $h, $a, $b, $c, $d, $e, $f);
        $round!(11, $f, $g, $h, $a, $b, $c, $d, $e);
        $round!(12, $e, $f, $g, $h, $a, $b, $c, $d);
        $round!(13, $d, $e, $f, $g, $h, $a, $b, $c);
        $round!(14, $c, $d, $e, $f, $g, $h, $a, $b);
        $round!(15, $b, $c, $d, $e, $f, $g, $h, $a);
    };
}

/// The compression function of SHA-256 or of SHA-512 and SHA-384 (FIPS 180-4, sections 6.2.2 and 6.4.2).
macro_rules! sha2_compress {
    (
        $name:ident, $padding:ident, $features:literal, $vector:ty,
        $set:ident $add:ident $apart:ident $ror:ident $shr:ident $xor3:ident $choose:ident $majority:ident,
        sums ($a0:literal $a1:literal $a2:literal) ($e0:literal $e1:literal $e2:literal),
        small ($s0:tt $s1:tt $s2:tt) ($t0:tt $t1:tt $t2:tt),
        $rounds:path, $scheduled:literal, $padded:path
    ) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn $name<const CALLER: u8>(state: [$vector; 8], mut w: [$vector; 16]) -> [$vector; 8] {
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
            let (scheduled, last) = $rounds.split_at($scheduled);
            for k in scheduled {
                macro_rules! round {
                    ($i:literal, $a:ident, $b:ident, $c:ident, $d:ident, $e:ident, $f:ident, $g:ident, $h:ident) => {
                        sha2_round!($add $apart $ror $xor3 $choose $majority, ($a0 $a1 $a2) ($e0 $e1 $e2),
                            $a $b $c $d $e $f $g $h, $add!(w[$i], $set!(k[$i])));
                        let early = w[($i + 1) & 15];
                        let late = w[($i + 14) & 15];
                        let small0 = $xor3!($ror!(early, $s0), $ror!(early, $s1), $shr!(early, $s2));
                        let small1 = $xor3!($ror!(late, $t0), $ror!(late, $t1), $shr!(late, $t2));
                        w[$i] = $add!($add!(w[$i], small0), $add!(w[($i + 9) & 15], small1));
                    };
                }
                sixteen_rounds!(round, a b c d e f g h);
            }
            for k in last {
                macro_rules! round {
                    ($i:literal, $a:ident, $b:ident, $c:ident, $d:ident, $e:ident, $f:ident, $g:ident, $h:ident) => {
                        sha2_round!($add $apart $ror $xor3 $choose $majority, ($a0 $a1 $a2) ($e0 $e1 $e2),
                            $a $b $c $d $e $f $g $h, $add!(w[$i], $set!(k[$i])));
                    };
                }
                sixteen_rounds!(round, a b c d e f g h);
            }
            let [a0, b0, c0, d0, e0, f0, g0, h0] = state;
            [
                $add!(a, a0), $add!(b, b0), $add!(c, c0), $add!(d, d0),
                $add!(e, e0), $add!(f, f0), $add!(g, g0), $add!(h, h0),
            ]
        }

        /// The same for a block that is the padding of an extend: the schedule is known beforehand.
        #[inline]
        #[target_feature(enable = $features)]
        fn $padding(state: [$vector; 8]) -> [$vector; 8] {
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
            for k in &$padded {
                macro_rules! round {
                    ($i:literal, $a:ident, $b:ident, $c:ident, $d:ident, $e:ident, $f:ident, $g:ident, $h:ident) => {
                        sha2_round!($add $apart $ror $xor3 $choose $majority, ($a0 $a1 $a2) ($e0 $e1 $e2),
                            $a $b $c $d $e $f $g $h, $set!(k[$i]));
                    };
                }
                sixteen_rounds!(round, a b c d e f g h);
            }
            let [a0, b0, c0, d0, e0, f0, g0, h0] = state;
            [
                $add!(a, a0), $add!(b, b0), $add!(c, c0), $add!(d, d0),
                $add!(e, e0), $add!(f, f0), $add!(g, g0), $add!(h, h0),
            ]
        }
    };
}

macro_rules! sha2_round {
    (
        $add:ident $apart:ident $ror:ident $xor3:ident $choose:ident $majority:ident,
        ($a0:literal $a1:literal $a2:literal) ($e0:literal $e1:literal $e2:literal),
        $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $input:expr
    ) => {
        let early = $apart!($add!($choose!($e, $f, $g), $apart!($add!($h, $input))));
        let sum1 = $add!(early, $xor3!($ror!($e, $e0), $ror!($e, $e1), $ror!($e, $e2)));
        let sum0 = $xor3!($ror!($a, $a0), $ror!($a, $a1), $ror!($a, $a2));
        let sum0 = $apart!($add!(sum0, $majority!($a, $b, $c)));
        $d = $add!($d, sum1);
        $h = $add!(sum1, sum0);
    };
}

/// The compression function of SHA-1 (FIPS 180-4, section 6.1.2).
macro_rules! sha1_compress {
    ($name:ident, $features:literal, $vector:ty) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn $name<const CALLER: u8>(state: [$vector; 5], mut w: [$vector; 16]) -> [$vector; 5] {
            let [mut a, mut b, mut c, mut d, mut e] = state;
            macro_rules! round {
                ($t:expr, $mix:ident, $k:ident, $a:ident, $b:ident, $c:ident, $d:ident, $e:ident) => {
                    if $t >= 16 {
                        let mixed = xor3_32!(w[($t + 13) & 15], w[($t + 8) & 15], w[($t + 2) & 15]);
                        w[$t & 15] = rol32!(xor32!(mixed, w[$t & 15]), 1);
                    }
                    let early = apart32!(add32!($e, apart32!(add32!(w[$t & 15], $k))));
                    let early = apart32!(add32!(early, $mix!($b, $c, $d)));
                    $e = add32!(early, rol32!($a, 5));
                    $b = rol32!($b, 30);
                };
            }
            macro_rules! five {
                ($t:expr, $mix:ident, $k:ident) => {
                    round!($t, $mix, $k, a, b, c, d, e);
                    round!($t + 1, $mix, $k, e, a, b, c, d);
                    round!($t + 2, $mix, $k, d, e, a, b, c);
                    round!($t + 3, $mix, $k, c, d, e, a, b);
                    round!($t + 4, $mix, $k, b, c, d, e, a);
                };
            }
            macro_rules! twenty {
                ($t:literal, $mix:ident, $k:expr) => {
                    let k = $k;
                    five!($t, $mix, k);
                    five!($t + 5, $mix, k);
                    five!($t + 10, $mix, k);
                    five!($t + 15, $mix, k);
                };
            }
            let [k0, k1, k2, k3] = crate::constants::ROUND_SHA1;
            twenty!(0, choose32, set32!(k0));
            twenty!(20, xor3_32, set32!(k1));
            twenty!(40, majority32, set32!(k2));
            twenty!(60, xor3_32, set32!(k3));
            let [a0, b0, c0, d0, e0] = state;
            [add32!(a, a0), add32!(b, b0), add32!(c, c0), add32!(d, d0), add32!(e, e0)]
        }
    };
}

/// Everything of one instruction set: the four banks, extend and compress.
macro_rules! lane_kernels {
    ($token:ident, $features:literal, $vector:ty, $narrow:literal, $wide:literal) => {
        sha1_compress!(compress_sha1, $features, $vector);
        sha2_compress!(
            compress_sha256, compress_padding_sha256, $features, $vector,
            set32 add32 apart32 ror32 shr32 xor3_32 choose32 majority32,
            sums (2 13 22) (6 11 25), small (7 18 3) (17 19 10),
            ROUNDS_256, 3, crate::constants::PADDING_SHA256
        );
        sha2_compress!(
            compress_sha512, compress_padding_sha512, $features, $vector,
            set64 add64 apart64 ror64 shr64 xor3_64 choose64 majority64,
            sums (28 34 39) (14 18 41), small (1 8 7) (19 61 6),
            ROUNDS_512, 4, crate::constants::PADDING_SHA512
        );

        static ROUNDS_256: [[u32; 16]; 4] = crate::constants::ROUND_SHA256;
        static ROUNDS_512: [[u64; 16]; 5] = crate::constants::ROUND_SHA512;

        #[inline]
        #[target_feature(enable = $features)]
        fn extend_sha1(register: [$vector; 8], digest: [$vector; 5]) -> [$vector; 8] {
            let [r0, r1, r2, r3, r4, zero, ..] = register;
            let [d0, d1, d2, d3, d4] = digest;
            let [s0, s1, s2, s3, s4, ..] = crate::constants::START_SHA1;
            let start = [set32!(s0), set32!(s1), set32!(s2), set32!(s3), set32!(s4)];
            let none = set32!(0_u32);
            let block = [
                r0, r1, r2, r3, r4, d0, d1, d2, d3, d4, set32!(0x8000_0000_u32), none, none, none, none, set32!(320_u32),
            ];
            let [a, b, c, d, e] = compress_sha1::<1>(start, block);
            [a, b, c, d, e, zero, zero, zero]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn extend_sha256(register: [$vector; 8], digest: [$vector; 8]) -> [$vector; 8] {
            let [r0, r1, r2, r3, r4, r5, r6, r7] = register;
            let [d0, d1, d2, d3, d4, d5, d6, d7] = digest;
            let start = crate::constants::START_SHA256.map(|word| set32!(word));
            let block = [r0, r1, r2, r3, r4, r5, r6, r7, d0, d1, d2, d3, d4, d5, d6, d7];
            compress_padding_sha256(compress_sha256::<1>(start, block))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn extend_sha384(register: [$vector; 8], digest: [$vector; 6]) -> [$vector; 8] {
            let [r0, r1, r2, r3, r4, r5, ..] = register;
            let [d0, d1, d2, d3, d4, d5] = digest;
            let start = crate::constants::START_SHA384.map(|word| set64!(word));
            let none = set64!(0_u64);
            let block = [
                r0, r1, r2, r3, r4, r5, d0, d1, d2, d3, d4, d5, set64!(1_u64 << 63), none, none, set64!(768_u64),
            ];
            compress_sha512::<2>(start, block)
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn extend_sha512(register: [$vector; 8], digest: [$vector; 8]) -> [$vector; 8] {
            let [r0, r1, r2, r3, r4, r5, r6, r7] = register;
            let [d0, d1, d2, d3, d4, d5, d6, d7] = digest;
            let start = crate::constants::START_SHA512.map(|word| set64!(word));
            let block = [r0, r1, r2, r3, r4, r5, r6, r7, d0, d1, d2, d3, d4, d5, d6, d7];
            compress_padding_sha512(compress_sha512::<1>(start, block))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn block_sha1<const CALLER: u8>(state: [$vector; 8], block: [$vector; 16]) -> [$vector; 8] {
            let [a, b, c, d, e, x, y, z] = state;
            let [a, b, c, d, e] = compress_sha1::<3>([a, b, c, d, e], block);
            [a, b, c, d, e, x, y, z]
        }

        lane_kernels!(bank $token, $features, $vector, u32, $narrow, 20, 64, extend_sha1, columns_20, block_sha1, columns_32);
        lane_kernels!(bank $token, $features, $vector, u32, $narrow, 32, 64, extend_sha256, columns_32, compress_sha256, columns_32);
        lane_kernels!(bank $token, $features, $vector, u64, $wide, 48, 128, extend_sha384, columns_48, compress_sha512, columns_64);
        lane_kernels!(bank $token, $features, $vector, u64, $wide, 64, 128, extend_sha512, columns_64, compress_sha512, columns_64);
    };
    (
        bank $token:ident, $features:literal, $vector:ty, $word:ty, $lanes:literal, $length:literal, $block:literal,
        $extend:ident, $columns:ident, $compress:ident, $half_block:ident
    ) => {
        impl Kernel<[u8; $length], $lanes> for $token {
            type Registers = Columns<$word, $lanes>;

            fn extend(self, registers: &mut Self::Registers, digests: &[&[&[u8; $length]]; $lanes], steps: usize) {
                #[target_feature(enable = $features)]
                fn kernel(
                    registers: &mut Columns<$word, $lanes>,
                    digests: &[&[&[u8; $length]]; $lanes],
                    steps: usize,
                ) {
                    let steps = shared_steps(digests, steps);
                    let mut state = load(registers);
                    for step in 0..steps {
                        let mut rows = [[0; $length].as_ptr(); $lanes];
                        for (row, list) in rows.iter_mut().zip(digests) {
                            // SAFETY: `step` is below `steps`, and no list is shorter than that.
                            *row = unsafe { list.get_unchecked(step) }.as_ptr();
                            if let Some(later) = list.get(step + 2) {
                                prefetch(later.as_slice());
                            }
                        }
                        // SAFETY: each row is a digest that is borrowed for the whole call.
                        state = $extend(state, unsafe { $columns(&rows) });
                    }
                    store(registers, state);
                }
                // SAFETY: a value of this type is made only after the processor said that it has the instructions.
                unsafe { kernel(registers, digests, steps) }
            }

            fn compress(self, registers: &mut Self::Registers, blocks: &[&[u8]; $lanes], count: usize) {
                #[target_feature(enable = $features)]
                fn kernel(registers: &mut Columns<$word, $lanes>, blocks: &[&[u8]; $lanes], count: usize) {
                    let count = shared_steps(blocks, count.saturating_mul($block)) / $block;
                    let mut state = load(registers);
                    for step in 0..count {
                        let mut front = [[0; $block].as_ptr(); $lanes];
                        let mut back = front;
                        for ((front, back), slice) in front.iter_mut().zip(&mut back).zip(blocks) {
                            // SAFETY: no slice has fewer than `count` blocks, and `step` is below `count`.
                            *front = unsafe { slice.as_ptr().add(step * $block) };
                            // SAFETY: this is the middle of the same block.
                            *back = unsafe { front.add($block / 2) };
                        }
                        // SAFETY: each row is half a block of a slice that is borrowed for the whole call.
                        let [w0, w1, w2, w3, w4, w5, w6, w7] = unsafe { $half_block(&front) };
                        // SAFETY: as above.
                        let [w8, w9, w10, w11, w12, w13, w14, w15] = unsafe { $half_block(&back) };
                        let block = [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15];
                        state = $compress::<$length>(state, block);
                    }
                    store(registers, state);
                }
                // SAFETY: a value of this type is made only after the processor said that it has the instructions.
                unsafe { kernel(registers, blocks, count) }
            }
        }
    };
}

/// How 256-bit vectors are loaded and transposed: 8 lanes of 32-bit or 4 lanes of 64-bit words.
macro_rules! columns_of_256_bits {
    ($features:literal) => {
        /// Swaps the bytes of each 32-bit word.
        #[inline]
        #[target_feature(enable = $features)]
        fn swap32(v: __m256i) -> __m256i {
            _mm256_shuffle_epi8(
                v,
                _mm256_broadcastsi128_si256(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3)),
            )
        }

        /// Swaps the bytes of each 64-bit word.
        #[inline]
        #[target_feature(enable = $features)]
        fn swap64(v: __m256i) -> __m256i {
            _mm256_shuffle_epi8(
                v,
                _mm256_broadcastsi128_si256(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)),
            )
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn transpose32(r: [__m256i; 8]) -> [__m256i; 8] {
            let r = [
                swap32(r[0]),
                swap32(r[1]),
                swap32(r[2]),
                swap32(r[3]),
                swap32(r[4]),
                swap32(r[5]),
                swap32(r[6]),
                swap32(r[7]),
            ];
            // Pairs of rows, then fours, then both halves.
            let (p0, p1) = (_mm256_unpacklo_epi32(r[0], r[1]), _mm256_unpackhi_epi32(r[0], r[1]));
            let (p2, p3) = (_mm256_unpacklo_epi32(r[2], r[3]), _mm256_unpackhi_epi32(r[2], r[3]));
            let (p4, p5) = (_mm256_unpacklo_epi32(r[4], r[5]), _mm256_unpackhi_epi32(r[4], r[5]));
            let (p6, p7) = (_mm256_unpacklo_epi32(r[6], r[7]), _mm256_unpackhi_epi32(r[6], r[7]));
            let (q0, q1) = (_mm256_unpacklo_epi64(p0, p2), _mm256_unpackhi_epi64(p0, p2));
            let (q2, q3) = (_mm256_unpacklo_epi64(p1, p3), _mm256_unpackhi_epi64(p1, p3));
            let (q4, q5) = (_mm256_unpacklo_epi64(p4, p6), _mm256_unpackhi_epi64(p4, p6));
            let (q6, q7) = (_mm256_unpacklo_epi64(p5, p7), _mm256_unpackhi_epi64(p5, p7));
            [
                _mm256_permute2x128_si256::<0x20>(q0, q4),
                _mm256_permute2x128_si256::<0x20>(q1, q5),
                _mm256_permute2x128_si256::<0x20>(q2, q6),
                _mm256_permute2x128_si256::<0x20>(q3, q7),
                _mm256_permute2x128_si256::<0x31>(q0, q4),
                _mm256_permute2x128_si256::<0x31>(q1, q5),
                _mm256_permute2x128_si256::<0x31>(q2, q6),
                _mm256_permute2x128_si256::<0x31>(q3, q7),
            ]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn transpose64(r: [__m256i; 4]) -> [__m256i; 4] {
            let r = [swap64(r[0]), swap64(r[1]), swap64(r[2]), swap64(r[3])];
            let (p0, p1) = (_mm256_unpacklo_epi64(r[0], r[1]), _mm256_unpackhi_epi64(r[0], r[1]));
            let (p2, p3) = (_mm256_unpacklo_epi64(r[2], r[3]), _mm256_unpackhi_epi64(r[2], r[3]));
            [
                _mm256_permute2x128_si256::<0x20>(p0, p2),
                _mm256_permute2x128_si256::<0x20>(p1, p3),
                _mm256_permute2x128_si256::<0x31>(p0, p2),
                _mm256_permute2x128_si256::<0x31>(p1, p3),
            ]
        }

        /// # Safety
        /// Each row points to 20 bytes.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn columns_20(rows: &[*const u8; 8]) -> [__m256i; 5] {
            let five = _mm256_set_epi32(0, 0, 0, -1, -1, -1, -1, -1);
            let mut r = [_mm256_setzero_si256(); 8];
            for (to, row) in r.iter_mut().zip(rows) {
                // SAFETY: the mask leaves the bytes after the twentieth alone.
                *to = unsafe { _mm256_maskload_epi32(row.cast(), five) };
            }
            let [w0, w1, w2, w3, w4, ..] = transpose32(r);
            [w0, w1, w2, w3, w4]
        }

        /// # Safety
        /// Each row points to 32 bytes.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn columns_32(rows: &[*const u8; 8]) -> [__m256i; 8] {
            let mut r = [_mm256_setzero_si256(); 8];
            for (to, row) in r.iter_mut().zip(rows) {
                // SAFETY: the row has 32 bytes; the load asks for no alignment.
                *to = unsafe { _mm256_loadu_si256(row.cast()) };
            }
            transpose32(r)
        }

        /// # Safety
        /// Each row points to 48 bytes.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn columns_48(rows: &[*const u8; 4]) -> [__m256i; 6] {
            let mut front = [_mm256_setzero_si256(); 4];
            let mut back = [_mm_setzero_si128(); 4];
            for ((front, back), row) in front.iter_mut().zip(&mut back).zip(rows) {
                // SAFETY: the first 32 of 48 bytes.
                *front = unsafe { _mm256_loadu_si256(row.cast()) };
                // SAFETY: the last 16 of 48 bytes.
                *back = unsafe { _mm_loadu_si128(row.add(32).cast()) };
            }
            let [w0, w1, w2, w3] = transpose64(front);
            let even = swap64(_mm256_inserti128_si256::<1>(_mm256_castsi128_si256(back[0]), back[2]));
            let odd = swap64(_mm256_inserti128_si256::<1>(_mm256_castsi128_si256(back[1]), back[3]));
            [w0, w1, w2, w3, _mm256_unpacklo_epi64(even, odd), _mm256_unpackhi_epi64(even, odd)]
        }

        /// # Safety
        /// Each row points to 64 bytes.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn columns_64(rows: &[*const u8; 4]) -> [__m256i; 8] {
            let mut front = [_mm256_setzero_si256(); 4];
            let mut back = [_mm256_setzero_si256(); 4];
            for ((front, back), row) in front.iter_mut().zip(&mut back).zip(rows) {
                // SAFETY: the first 32 of 64 bytes.
                *front = unsafe { _mm256_loadu_si256(row.cast()) };
                // SAFETY: the last 32 of 64 bytes.
                *back = unsafe { _mm256_loadu_si256(row.add(32).cast()) };
            }
            let [w0, w1, w2, w3] = transpose64(front);
            let [w4, w5, w6, w7] = transpose64(back);
            [w0, w1, w2, w3, w4, w5, w6, w7]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn load<W, const L: usize>(registers: &Columns<W, L>) -> [__m256i; 8] {
            const { assert!(size_of::<[W; L]>() == 32) };
            let mut state = [_mm256_setzero_si256(); 8];
            for (to, row) in state.iter_mut().zip(&registers.0) {
                // SAFETY: a row has 32 bytes, as was asserted.
                *to = unsafe { _mm256_loadu_si256(row.as_ptr().cast()) };
            }
            state
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn store<W, const L: usize>(registers: &mut Columns<W, L>, state: [__m256i; 8]) {
            const { assert!(size_of::<[W; L]>() == 32) };
            for (row, from) in registers.0.iter_mut().zip(state) {
                // SAFETY: a row has 32 bytes, as was asserted, and every bit pattern is an integer.
                unsafe { _mm256_storeu_si256(row.as_mut_ptr().cast(), from) };
            }
        }
    };
}
