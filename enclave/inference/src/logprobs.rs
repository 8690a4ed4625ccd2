//! Log probabilities of the model's own distribution, as it is before anything is done to the logits.

use zeroize::{Zeroize, Zeroizing};

use crate::engine::TokenLogprob;
use crate::float::{exp, ln};

/// What one row of logits says, taken before the sampler changes them. Wiped when dropped.
pub(crate) struct Distribution {
    logits: Zeroizing<Vec<f32>>,
    /// Logarithm of the sum of e^logit.
    normalizer: f64,
}

impl Distribution {
    pub(crate) fn new(logits: &[f32]) -> Self {
        let maximum = logits
            .iter()
            .fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
        let sum: f64 = logits.iter().map(|logit| f64::from(exp(logit - maximum))).sum();
        Self {
            logits: Zeroizing::new(logits.to_vec()),
            normalizer: f64::from(maximum) + ln(sum),
        }
    }

    /// The token's probability, and those of the `count` most probable ones.
    pub(crate) fn describe(&self, token: u32, count: usize) -> TokenLogprob {
        let mut top: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
        for (id, logit) in (0..).zip(self.logits.iter()) {
            // Below all that are kept, like nearly every token.
            if top.len() == count && top.last().is_none_or(|(_, least)| logit <= least) {
                continue;
            }
            let place = top.partition_point(|(_, kept)| kept >= logit);
            top.insert(place, (id, *logit));
            top.truncate(count);
        }
        top.iter_mut()
            .for_each(|(_, logit)| *logit = self.logprob(*logit));
        TokenLogprob {
            token,
            logprob: self.logprob(self.logits[token as usize]),
            top,
        }
    }

    fn logprob(&self, logit: f32) -> f32 {
        (f64::from(logit) - self.normalizer).min(0.0) as f32
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        self.normalizer.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_model::Noise;

    #[test]
    fn log_probabilities_are_those_of_the_definition() {
        let mut noise = Noise(3);
        let logits: Vec<f32> = (0..5000).map(|_| noise.next() * 20.0).collect();
        let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        let distribution = Distribution::new(&logits);
        let described = distribution.describe(17, 20);
        let wanted = |token: u32| f64::from(logits[token as usize]) - sum.ln();
        assert!((f64::from(described.logprob) - wanted(17)).abs() < 1e-5);

        let mut order: Vec<u32> = (0..5000).collect();
        order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
        let top: Vec<u32> = described.top.iter().map(|(token, _)| *token).collect();
        assert_eq!(top, order[..20]);
        for (token, logprob) in &described.top {
            assert!((f64::from(*logprob) - wanted(*token)).abs() < 1e-5);
        }
    }

    #[test]
    fn equal_tokens_are_in_order_of_their_ids() {
        let distribution = Distribution::new(&[1.0, 2.0, 2.0, 2.0, 1.0]);
        let ids = |count| {
            let top = distribution.describe(0, count).top.clone();
            top.into_iter().map(|(token, _)| token).collect::<Vec<_>>()
        };
        assert_eq!(
            (ids(0), ids(2), ids(9)),
            (vec![], vec![1, 2], vec![1, 2, 3, 0, 4])
        );
    }

    #[test]
    fn a_certain_token_has_the_logarithm_zero() {
        let certain = Distribution::new(&[0.0, 200.0]).describe(1, 0);
        assert_eq!(certain.logprob, 0.0);
    }
}
