//! Choice of the next token. The same logits, parameters and seed give the same token everywhere.

use zeroize::Zeroize;

use crate::float::exp;

/// Latest tokens of prompt and answer together that the repeat penalty looks at.
const REPEAT_WINDOW: usize = 64;

/// Entries of [`Sampling::logit_bias`] at most.
pub const MAX_LOGIT_BIASES: usize = 1024;

/// Candidates that are sorted first when looking for the smallest set that reaches `top_p`.
const FIRST_CANDIDATES: usize = 64;

/// How tokens are chosen. A logit goes through these in turn: [`Self::logit_bias`], [`Self::repeat_penalty`],
/// [`Self::frequency_penalty`] with [`Self::presence_penalty`], what a JSON object allows, then temperature,
/// then `top_p`. What a user wrote: without `Debug`.
#[derive(Clone, PartialEq)]
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
    /// Added to logits before all penalties, in this order: token and bias in [-100, 100]. A token that is named
    /// twice gets both. At most [`MAX_LOGIT_BIASES`] entries.
    pub logit_bias: Vec<(u32, f32)>,
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
            logit_bias: Vec::new(),
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
        )?;
        let count = self.logit_bias.len();
        check(
            "logit_bias",
            count as f32,
            count <= MAX_LOGIT_BIASES,
            "at most 1024 entries",
        )?;
        for (_, bias) in &self.logit_bias {
            check(
                "logit_bias",
                *bias,
                within(*bias, -100.0, 100.0),
                "from -100 to 100",
            )?;
        }
        Ok(())
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
        }
    }

    /// Applies bias and penalties to the logits.
    pub(crate) fn adjust(&self, logits: &mut [f32]) {
        for (token, bias) in &self.sampling.logit_bias {
            logits[*token as usize] += bias;
        }
        self.penalize(logits);
    }

    /// Chooses a token by logits that have been adjusted, and remembers it. None if all are minus infinity: a token
    /// with such a logit is never chosen. What is left over in `candidates` is derived from the logits.
    pub(crate) fn choose(&mut self, logits: &[f32], candidates: &mut Vec<(f32, u32)>) -> Option<u32> {
        let best = most_probable(logits);
        if logits[best as usize] == f32::NEG_INFINITY {
            return None;
        }
        let token = match self.sampling.temperature {
            0.0 => best,
            temperature => self.draw(logits, logits[best as usize], temperature, candidates),
        };
        if self.recent.len() == REPEAT_WINDOW {
            self.recent.remove(0);
        }
        self.recent.push(token);
        match self.counts.iter_mut().find(|(counted, _)| *counted == token) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((token, 1)),
        }
        Some(token)
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

    fn draw(
        &mut self,
        logits: &[f32],
        maximum: f32,
        temperature: f32,
        candidates: &mut Vec<(f32, u32)>,
    ) -> u32 {
        candidates.clear();
        if candidates.capacity() < logits.len() {
            // Growing would leave a copy of the old content behind.
            candidates.zeroize();
            candidates.reserve_exact(logits.len());
        }
        let allowed = logits
            .iter()
            .zip(0..)
            .filter(|(logit, _)| **logit > f32::NEG_INFINITY);
        candidates.extend(allowed.map(|(logit, token)| (exp((logit - maximum) / temperature), token)));
        let total: f64 = candidates.iter().map(|(weight, _)| f64::from(*weight)).sum();
        let kept = keep_top_p(candidates, self.sampling.top_p, total);
        candidates.truncate(kept);

        let total: f64 = candidates.iter().map(|(weight, _)| f64::from(*weight)).sum();
        let mut left = self.random.next_unit() * total;
        for (weight, token) in candidates.iter() {
            left -= f64::from(*weight);
            if left < 0.0 {
                return *token;
            }
        }
        candidates.last().map_or(0, |(_, token)| *token)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.recent.zeroize();
        self.counts.zeroize();
        self.sampling.logit_bias.zeroize();
    }
}

/// Moves the most probable candidates that together reach `top_p` to the front, sorted. Ties go to the
/// lower id, so that the order is total.
/// Returns how many they are.
fn keep_top_p(candidates: &mut [(f32, u32)], top_p: f32, total: f64) -> usize {
    let wanted = f64::from(top_p) * total;
    let count = candidates.len();
    if top_p >= 1.0 {
        return count;
    }
    let descending = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    let mut sorted = 0;
    let mut reached = 0.0;
    let mut size = FIRST_CANDIDATES;
    while sorted < count {
        let rest = &mut candidates[sorted..];
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

/// The token with the highest logit; of equal ones the lowest id.
fn most_probable(logits: &[f32]) -> u32 {
    let higher = |a: f32, b: f32| if b > a { b } else { a };
    let highest = logits.iter().fold(f32::NEG_INFINITY, |a, b| higher(a, *b));
    logits.iter().position(|logit| *logit == highest).unwrap_or(0) as u32
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
mod tests;
