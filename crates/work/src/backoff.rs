//! How long a job that failed waits.

use std::time::Duration;

use steward_base::Random;

use crate::job::Policy;

/// Doubles with every attempt up to the longest wait, less up to a quarter of it by chance, so that what failed together does not come back
/// together.
pub(crate) fn wait(policy: &Policy, attempts: i32, random: &Random) -> Duration {
    let doublings = attempts.saturating_sub(1).clamp(0, 30).unsigned_abs();
    let full = policy.first_wait.saturating_mul(1 << doublings).min(policy.longest_wait);
    let [chance]: [u8; 1] = random.bytes();
    full - full.mul_f64(f64::from(chance) / 255.0 / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let (policy, random) = (Policy::default(), Random::seeded(1));
        for (attempts, seconds) in [(1, 1.0), (2, 2.0), (5, 16.0), (11, 600.0), (i32::MAX, 600.0)] {
            let waited = wait(&policy, attempts, &random).as_secs_f64();
            assert!(waited <= seconds && waited >= seconds * 0.75, "{attempts}: {waited}");
        }
    }
}
