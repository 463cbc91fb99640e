//! What can be learned of the machine without asking more than the operating system's own files.

use std::fs;

/// Processor and memory; `None` where the system does not say.
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) cpu: Option<String>,
    /// Instruction sets that the kernels use or could use, by the names that Rust has for them.
    pub(crate) features: Vec<&'static str>,
    /// Bytes of memory.
    pub(crate) memory: Option<u64>,
    /// Bytes of it that a program could have now.
    pub(crate) available: Option<u64>,
}

impl Machine {
    /// This machine.
    pub(crate) fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        Self {
            cpu: value(&cpu, "model name").map(str::to_owned),
            features: features(),
            memory: kibibytes(&memory, "MemTotal"),
            available: kibibytes(&memory, "MemAvailable"),
        }
    }
}

/// The value of the first line `key : value`.
fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(found, value)| (found.trim(), value.trim())).find_map(|(found, value)| (found == key).then_some(value))
}

/// The bytes of a line `key: N kB`.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    value(text, key)?.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let found = [
        ("popcnt", is_x86_feature_detected!("popcnt")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vpopcntdq", is_x86_feature_detected!("avx512vpopcntdq")),
    ];
    found.into_iter().filter_map(|(name, there)| there.then_some(name)).collect()
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    let found = [("neon", std::arch::is_aarch64_feature_detected!("neon"))];
    found.into_iter().filter_map(|(name, there)| there.then_some(name)).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_systems_files() {
        let cpu = "processor\t: 0\nmodel name\t: A CPU: fast\nmodel name\t: another\n";
        assert_eq!(value(cpu, "model name"), Some("A CPU: fast"));
        assert_eq!(value(cpu, "model"), None);
        let memory = "MemTotal:        2 kB\nMemAvailable:    many kB\n";
        assert_eq!(kibibytes(memory, "MemTotal"), Some(2048));
        assert_eq!(kibibytes(memory, "MemAvailable"), None);
        assert_eq!(kibibytes(memory, "MemFree"), None);
    }
}
