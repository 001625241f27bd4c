//! Which instructions this processor offers; chosen once, at run time.

use std::sync::atomic::{AtomicU8, Ordering};

/// The paths of the kernels, slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Isa {
    /// Plain Rust; on aarch64 the compiler makes NEON of it.
    Portable = 1,
    /// AVX2 and FMA.
    Avx2 = 2,
    /// AVX-512 F, BW, VL; bf16 operands are widened.
    Avx512 = 3,
    /// AVX-512 with `vdpbf16ps` and `vpdpwssd`; every processor with the first has the second.
    Avx512Bf16 = 4,
    /// AMX bf16 tiles for products of bf16 operands, AVX-512 for the rest.
    Amx = 5,
}

static CURRENT: AtomicU8 = AtomicU8::new(0);

impl Isa {
    pub const ALL: [Isa; 5] = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16, Isa::Amx];

    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Avx512Bf16 => "avx512-bf16",
            Isa::Amx => "amx",
        }
    }

    /// Whether this processor and its operating system can run the path.
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("fma");
            let pairs = is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512vnni");
            match self {
                Isa::Portable => true,
                Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
                Isa::Avx512 => avx512,
                Isa::Avx512Bf16 => avx512 && pairs,
                #[cfg(target_os = "linux")]
                Isa::Amx => avx512 && pairs && crate::amx::usable(),
                #[cfg(not(target_os = "linux"))]
                Isa::Amx => false,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Isa::Portable
        }
    }

    /// The path of that name.
    pub fn named(name: &str) -> Option<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// The path in use: the best available, unless `DRIFT_ISA` names a lower one that is available.
    #[inline]
    pub fn current() -> Isa {
        match CURRENT.load(Ordering::Relaxed) {
            1 => Isa::Portable,
            2 => Isa::Avx2,
            3 => Isa::Avx512,
            4 => Isa::Avx512Bf16,
            5 => Isa::Amx,
            _ => Isa::choose(),
        }
    }

    #[cold]
    fn choose() -> Isa {
        let best = Isa::ALL.into_iter().rev().find(|isa| isa.available()).unwrap_or(Isa::Portable);
        let wanted = std::env::var("DRIFT_ISA").ok().and_then(|name| Isa::named(&name));
        let isa = wanted.filter(|isa| isa.available()).unwrap_or(best);
        CURRENT.store(isa as u8, Ordering::Relaxed);
        isa
    }
}

/// Compiles one plain loop for each vector width and calls the widest that the processor has. The
/// body is the same Rust on every path, without contraction, so its results are the same bits.
macro_rules! vectorized {
    ($(#[$doc:meta])* $vis:vis fn $name:ident $(<$t:ident: $bound:path>)? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$doc])*
        #[cfg(target_arch = "x86_64")]
        #[inline]
        $vis fn $name $(<$t: $bound>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body $(<$t: $bound>)? ($($arg: $ty),*) $(-> $ret)? $body
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
            unsafe fn on_avx512 $(<$t: $bound>)? ($($arg: $ty),*) $(-> $ret)? { body $(::<$t>)? ($($arg),*) }
            #[target_feature(enable = "avx2,fma")]
            unsafe fn on_avx2 $(<$t: $bound>)? ($($arg: $ty),*) $(-> $ret)? { body $(::<$t>)? ($($arg),*) }
            match $crate::isa::Isa::current() {
                $crate::isa::Isa::Portable => body $(::<$t>)? ($($arg),*),
                // SAFETY: `current` only returns paths that the processor has.
                $crate::isa::Isa::Avx2 => unsafe { on_avx2 $(::<$t>)? ($($arg),*) },
                // SAFETY: as above; every path above AVX2 includes AVX-512 F, BW, VL, DQ.
                _ => unsafe { on_avx512 $(::<$t>)? ($($arg),*) },
            }
        }

        $(#[$doc])*
        #[cfg(not(target_arch = "x86_64"))]
        #[inline]
        $vis fn $name $(<$t: $bound>)? ($($arg: $ty),*) $(-> $ret)? $body
    };
}
pub(crate) use vectorized;
