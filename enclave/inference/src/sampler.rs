//! Choice of the next token. The same logits, parameters and seed give the same token everywhere.

use zeroize::Zeroize;

use crate::float::exp;

/// Latest tokens of prompt and answer together that the repeat penalty looks at.
const REPEAT_WINDOW: usize = 64;

/// Candidates that are sorted first when looking for the smallest set that reaches `top_p`.
const FIRST_CANDIDATES: usize = 64;

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 always takes the most probable token; higher values flatten the distribution. In [0, 2].
    pub temperature: f32,
    /// Only the smallest set of tokens that together have this probability is drawn from. In (0, 1].
    pub top_p: f32,
    /// Start of the random sequence. Without effect at temperature 0.
    pub seed: u64,
    /// Logits of the latest 64 tokens, of prompt and answer, are divided (multiplied when negative) by this.
    /// In [0.5, 2]; 1 is off.
    pub repeat_penalty: f32,
    /// Taken off a token's logit once per occurrence in the answer. In [-2, 2].
    pub frequency_penalty: f32,
    /// Taken off a token's logit if it occurs in the answer. In [-2, 2].
    pub presence_penalty: f32,
}

impl Default for Sampling {
    /// What suits SmolLM2-135M: without the repeat penalty it falls into loops, and sampling soon leads it
    /// astray, even at a temperature of 0.2.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            seed: 0,
            repeat_penalty: 1.1,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
        }
    }
}

/// A sampling parameter is out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{parameter} is {value}; it must be {range}")]
pub struct InvalidSampling {
    /// Field of [`Sampling`].
    pub parameter: &'static str,
    /// What was given.
    pub value: f32,
    /// What is allowed.
    pub range: &'static str,
}

impl Sampling {
    /// Checks each parameter against its range; NaN is in none.
    ///
    /// # Errors
    /// [`InvalidSampling`] for the first that isn't.
    pub fn validate(&self) -> Result<(), InvalidSampling> {
        let check = |parameter, value: f32, allowed: bool, range| match allowed {
            true => Ok(()),
            false => Err(InvalidSampling {
                parameter,
                value,
                range,
            }),
        };
        let within = |value: f32, low: f32, high: f32| value >= low && value <= high;
        let Self {
            temperature,
            top_p,
            repeat_penalty,
            frequency_penalty,
            presence_penalty,
            ..
        } = *self;
        check(
            "temperature",
            temperature,
            within(temperature, 0.0, 2.0),
            "from 0 to 2",
        )?;
        check(
            "top_p",
            top_p,
            top_p > 0.0 && top_p <= 1.0,
            "above 0 and at most 1",
        )?;
        check(
            "repeat_penalty",
            repeat_penalty,
            within(repeat_penalty, 0.5, 2.0),
            "from 0.5 to 2",
        )?;
        check(
            "frequency_penalty",
            frequency_penalty,
            within(frequency_penalty, -2.0, 2.0),
            "from -2 to 2",
        )?;
        check(
            "presence_penalty",
            presence_penalty,
            within(presence_penalty, -2.0, 2.0),
            "from -2 to 2",
        )
    }
}

/// The sampler of one answer. Wiped when dropped.
pub(crate) struct Sampler {
    sampling: Sampling,
    random: SplitMix64,
    /// The latest tokens, oldest first.
    recent: Vec<u32>,
    /// Tokens of the answer and how often each occurs.
    counts: Vec<(u32, u32)>,
    candidates: Vec<(f32, u32)>,
}

impl Sampler {
    /// A sampler for an answer of at most `max_tokens` to `prompt`.
    pub(crate) fn new(sampling: Sampling, prompt: &[u32], max_tokens: usize) -> Self {
        let random = SplitMix64(sampling.seed);
        // With room from the start, so that growing leaves no copies behind.
        let mut recent = Vec::with_capacity(REPEAT_WINDOW);
        recent.extend_from_slice(&prompt[prompt.len().saturating_sub(REPEAT_WINDOW)..]);
        let counts = Vec::with_capacity(max_tokens);
        Self {
            sampling,
            random,
            recent,
            counts,
            candidates: Vec::new(),
        }
    }

    /// Chooses a token and remembers it. Changes the logits.
    pub(crate) fn sample(&mut self, logits: &mut [f32]) -> u32 {
        self.penalize(logits);
        let token = match self.sampling.temperature {
            0.0 => most_probable(logits),
            temperature => self.draw(logits, temperature),
        };
        if self.recent.len() == REPEAT_WINDOW {
            self.recent.remove(0);
        }
        self.recent.push(token);
        match self.counts.iter_mut().find(|(counted, _)| *counted == token) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((token, 1)),
        }
        token
    }

    fn penalize(&self, logits: &mut [f32]) {
        let Sampling {
            repeat_penalty,
            frequency_penalty,
            presence_penalty,
            ..
        } = self.sampling;
        for (index, token) in self.recent.iter().enumerate() {
            if self.recent[..index].contains(token) {
                continue;
            }
            let logit = &mut logits[*token as usize];
            *logit = if *logit > 0.0 {
                *logit / repeat_penalty
            } else {
                *logit * repeat_penalty
            };
        }
        for (token, count) in &self.counts {
            logits[*token as usize] -= *count as f32 * frequency_penalty + presence_penalty;
        }
    }

    fn draw(&mut self, logits: &[f32], temperature: f32) -> u32 {
        let maximum = logits[most_probable(logits) as usize];
        self.candidates.clear();
        let weights = logits.iter().map(|logit| exp((logit - maximum) / temperature));
        self.candidates.extend(weights.zip(0..));
        let total: f64 = self.candidates.iter().map(|(weight, _)| f64::from(*weight)).sum();
        let kept = self.keep_top_p(total);
        self.candidates.truncate(kept);

        let total: f64 = self.candidates.iter().map(|(weight, _)| f64::from(*weight)).sum();
        let mut left = self.random.next_unit() * total;
        for (weight, token) in &self.candidates {
            left -= f64::from(*weight);
            if left < 0.0 {
                return *token;
            }
        }
        self.candidates.last().map_or(0, |(_, token)| *token)
    }

    /// Moves the most probable candidates that together reach `top_p` to the front, sorted. Ties go to the
    /// lower id, so that the order is total.
    /// Returns how many they are.
    fn keep_top_p(&mut self, total: f64) -> usize {
        let wanted = f64::from(self.sampling.top_p) * total;
        let count = self.candidates.len();
        if self.sampling.top_p >= 1.0 {
            return count;
        }
        let descending = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        let mut sorted = 0;
        let mut reached = 0.0;
        let mut size = FIRST_CANDIDATES;
        while sorted < count {
            let rest = &mut self.candidates[sorted..];
            if size < rest.len() {
                rest.select_nth_unstable_by(size, descending);
            }
            let size_now = size.min(rest.len());
            rest[..size_now].sort_unstable_by(descending);
            for (index, (weight, _)) in rest[..size_now].iter().enumerate() {
                reached += f64::from(*weight);
                if reached >= wanted {
                    return sorted + index + 1;
                }
            }
            sorted += size_now;
            size *= 4;
        }
        count
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.recent.zeroize();
        self.counts.zeroize();
        self.candidates.zeroize();
    }
}

/// The token with the highest logit; of equal ones the lowest id.
fn most_probable(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    best as u32
}

/// SplitMix64 (Steele, Lea, Flood 2014). Not for secrets: who knows the seed is meant to get the same text.
struct SplitMix64(u64);

impl SplitMix64 {
    /// Uniform in [0, 1), with 53 bits.
    fn next_unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(temperature: f32, top_p: f32, seed: u64) -> Sampling {
        Sampling {
            temperature,
            top_p,
            seed,
            repeat_penalty: 1.0,
            ..Sampling::default()
        }
    }

    #[test]
    fn temperature_zero_takes_the_maximum_and_the_lowest_of_equals() {
        let mut sampler = Sampler::new(plain(0.0, 1.0, 0), &[], 9);
        assert_eq!(sampler.sample(&mut [0.0, 3.0, 3.0, -1.0]), 1);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let logits = [0.0_f32, 1.0, 2.0, -1.0];
        let weights = logits.map(|logit| f64::from(logit).exp());
        let total: f64 = weights.iter().sum();
        let mut sampler = Sampler::new(plain(1.0, 1.0, 42), &[], 9);
        let mut seen = [0_u32; 4];
        for _ in 0..20_000 {
            seen[sampler.sample(&mut logits.clone()) as usize] += 1;
        }
        for (count, weight) in seen.iter().zip(weights) {
            assert!(
                (f64::from(*count) / 20_000.0 - weight / total).abs() < 0.015,
                "{seen:?}"
            );
        }
    }

    #[test]
    fn top_p_keeps_the_smallest_set_that_reaches_it() {
        let mut logits = vec![0.0_f32; 1000];
        logits[500] = 8.0;
        logits[20] = 7.5;
        for top_p in [0.5, 0.75] {
            let mut sampler = Sampler::new(plain(1.0, top_p, 1), &[], 9);
            let drawn: std::collections::BTreeSet<_> =
                (0..500).map(|_| sampler.sample(&mut logits.clone())).collect();
            // 500 has 0.515 of the probability, 20 has 0.313.
            assert_eq!(
                drawn.into_iter().collect::<Vec<_>>(),
                if top_p == 0.5 { vec![500] } else { vec![20, 500] }
            );
        }
        // A set that is larger than what is sorted first.
        let mut sampler = Sampler::new(plain(1.0, 0.5, 1), &[], 9);
        let total = 1000.0;
        sampler.candidates = (0..1000).map(|token| (1.0, token)).collect();
        assert_eq!(sampler.keep_top_p(total), 500);
    }

    #[test]
    fn the_seed_decides() {
        let run = |seed| {
            let mut sampler = Sampler::new(plain(1.5, 0.99, seed), &[], 9);
            (0..50)
                .map(|i| sampler.sample(&mut [0.1, 0.2, 0.3, i as f32 / 50.0]))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn penalties_lower_what_occurred() {
        let sampling = Sampling {
            repeat_penalty: 2.0,
            temperature: 0.0,
            ..Sampling::default()
        };
        let sampler = Sampler::new(sampling.clone(), &[0, 0, 1], 9);
        let mut logits = [3.0, -1.0, 1.6];
        sampler.penalize(&mut logits);
        assert_eq!(logits, [1.5, -2.0, 1.6]);

        let sampling = Sampling {
            repeat_penalty: 1.0,
            frequency_penalty: 1.0,
            presence_penalty: 0.5,
            ..sampling
        };
        let mut sampler = Sampler::new(sampling, &[2], 9);
        assert_eq!(sampler.sample(&mut [0.0, 4.0, 3.0]), 1);
        assert_eq!(sampler.sample(&mut [0.0, 4.0, 3.0]), 2);
        assert_eq!(sampler.counts, [(1, 1), (2, 1)]);
        let mut logits = [0.0, 4.0, 3.0];
        sampler.penalize(&mut logits);
        assert_eq!(logits, [0.0, 2.5, 1.5]);
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let valid = Sampling::default();
        assert_eq!(valid.validate(), Ok(()));
        for (parameter, sampling) in [
            (
                "temperature",
                Sampling {
                    temperature: -0.1,
                    ..valid.clone()
                },
            ),
            (
                "temperature",
                Sampling {
                    temperature: f32::NAN,
                    ..valid.clone()
                },
            ),
            (
                "top_p",
                Sampling {
                    top_p: 0.0,
                    ..valid.clone()
                },
            ),
            (
                "top_p",
                Sampling {
                    top_p: 1.1,
                    ..valid.clone()
                },
            ),
            (
                "repeat_penalty",
                Sampling {
                    repeat_penalty: 0.0,
                    ..valid.clone()
                },
            ),
            (
                "frequency_penalty",
                Sampling {
                    frequency_penalty: 3.0,
                    ..valid.clone()
                },
            ),
            (
                "presence_penalty",
                Sampling {
                    presence_penalty: f32::INFINITY,
                    ..valid.clone()
                },
            ),
        ] {
            assert_eq!(sampling.validate().unwrap_err().parameter, parameter);
        }
    }
}
