//! Where, when and with what was measured?

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

/// The version of a package in a lock file.
pub fn version(lock: &'static str, package: &str) -> &'static str {
    let mut lines = lock.lines();
    lines.find(|line| line.strip_prefix("name = ").is_some_and(|name| name.trim_matches('"') == package));
    lines.next().and_then(|line| line.strip_prefix("version = ")).map_or("?", |version| version.trim_matches('"'))
}

/// The model, and how wide its vectors are: some peers look.
pub fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.split('\t').next() == Some(name));
        line.and_then(|line| line.split_once(": ")).map_or("?", |(_, value)| value)
    };
    let has = |flag: &&str| field("flags").split(' ').any(|name| name == *flag);
    let vectors = [("avx2", "AVX2"), ("avx512f", "AVX-512")].into_iter().filter(|(flag, _)| has(flag));
    let vectors: String = vectors.map(|(_, name)| format!(", {name}")).collect();
    format!("{} (family {}, model {}{vectors})", field("model name"), field("cpu family"), field("model"))
}

/// What it was built by, if that is still there.
pub fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).split(" (").next().unwrap_or_default().trim().to_string()
}

/// The profile of Cargo.toml that this was built by: the folder it lies in.
pub fn profile() -> String {
    let program = env::current_exe().unwrap_or_default();
    let folder = program.parent().and_then(|folder| folder.file_name());
    folder.map_or("?".to_string(), |folder| folder.to_string_lossy().into_owned())
}

/// How many processes want a core, over the last minute.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_string()
}

/// Today, by the Gregorian calendar, in UTC.
pub fn date() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Years are counted from March, so that the leap day is the last; an era is 400 years.
    let days = seconds / 86400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    format!("{}-{month:02}-{day:02}", era * 400 + year + u64::from(month <= 2))
}
