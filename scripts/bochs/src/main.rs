//! Boots, compares each AVX-512 instruction set with the reference kernels and says so on port 0xE9, where the emulator listens.
//!
//! The first line is `begin`, the last one `end`. Anything that goes wrong (a panic, an instruction that the CPU lacks) ends the emulation before it.
#![no_std]
#![no_main]

extern crate alloc;

mod cases;
mod machine;

use core::{arch::x86_64::__cpuid_count, fmt};

use signbit_kernels::{
    Isa,
    isa::{Avx512Bw, Avx512Vpopcnt},
};

/// What to do; the script writes it into the image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Compare,
    /// One bit of each row of weights is wrong on purpose: the comparison must find that.
    Mismatch,
    /// Uses VPOPCNTDQ without a question.
    Force,
}

/// The beginning of the payload, called by `boot.s` with the mode.
#[unsafe(no_mangle)]
extern "C" fn payload(mode: u32) -> ! {
    let mode = match mode {
        0 => Mode::Compare,
        1 => Mode::Mismatch,
        _ => Mode::Force,
    };
    say(format_args!("begin"));
    let features = __cpuid_count(7, 0);
    let has = |register: u32, bits: &[u32]| bits.iter().all(|bit| register >> bit & 1 == 1);
    // EBX: F, BW, VL; ECX: VPOPCNTDQ.
    let bw = has(features.ebx, &[16, 30, 31]);
    let vpopcnt = bw && has(features.ecx, &[14]) || mode == Mode::Force;
    // SAFETY: the CPU has the instructions, and `boot.s` has enabled the registers. With `Force` it may lack them, which then
    // ends the emulation.
    let isas = unsafe {
        [
            ("avx512bw", bw.then(|| Isa::Avx512Bw(Avx512Bw::new_unchecked()))),
            ("avx512-vpopcnt", vpopcnt.then(|| Isa::Avx512Vpopcnt(Avx512Vpopcnt::new_unchecked()))),
        ]
    };
    for (name, _) in isas.iter().filter(|(_, isa)| isa.is_none()) {
        say(format_args!("{name}: this CPU does not have it"));
    }
    for summary in cases::compare(isas.iter().filter_map(|(_, isa)| *isa), mode) {
        say(format_args!("{summary}"));
    }
    say(format_args!("end"));
    machine::shut_down()
}

/// One line.
fn say(line: fmt::Arguments<'_>) {
    let _ = fmt::Write::write_fmt(&mut machine::Port, format_args!("\nsignbit> {line}\n"));
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say(format_args!("{info}"));
    machine::shut_down()
}
