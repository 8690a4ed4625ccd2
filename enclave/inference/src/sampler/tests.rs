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

/// All that happens to a row of logits.
fn sample(sampler: &mut Sampler, logits: &mut [f32]) -> u32 {
    sampler.adjust(logits);
    sampler.choose(logits, &mut Vec::new()).expect("a token")
}

#[test]
fn temperature_zero_takes_the_maximum_and_the_lowest_of_equals() {
    let mut sampler = Sampler::new(plain(0.0, 1.0, 0), &[], 9);
    assert_eq!(sample(&mut sampler, &mut [0.0, 3.0, 3.0, -1.0]), 1);
}

#[test]
fn draws_follow_the_distribution() {
    let logits = [0.0_f32, 1.0, 2.0, -1.0];
    let weights = logits.map(|logit| f64::from(logit).exp());
    let total: f64 = weights.iter().sum();
    let mut sampler = Sampler::new(plain(1.0, 1.0, 42), &[], 9);
    let mut seen = [0_u32; 4];
    for _ in 0..20_000 {
        seen[sample(&mut sampler, &mut logits.clone()) as usize] += 1;
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
        let drawn: std::collections::BTreeSet<_> = (0..500)
            .map(|_| sample(&mut sampler, &mut logits.clone()))
            .collect();
        // 500 has 0.515 of the probability, 20 has 0.313.
        assert_eq!(
            drawn.into_iter().collect::<Vec<_>>(),
            if top_p == 0.5 { vec![500] } else { vec![20, 500] }
        );
    }
    // A set that is larger than what is sorted first.
    let mut candidates: Vec<_> = (0..1000).map(|token| (1.0, token)).collect();
    assert_eq!(keep_top_p(&mut candidates, 0.5, 1000.0), 500);
}

#[test]
fn the_seed_decides() {
    let run = |seed| {
        let mut sampler = Sampler::new(plain(1.5, 0.99, seed), &[], 9);
        (0..50)
            .map(|i| sample(&mut sampler, &mut [0.1, 0.2, 0.3, i as f32 / 50.0]))
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
    assert_eq!(sample(&mut sampler, &mut [0.0, 4.0, 3.0]), 1);
    assert_eq!(sample(&mut sampler, &mut [0.0, 4.0, 3.0]), 2);
    assert_eq!(sampler.counts, [(1, 1), (2, 1)]);
    let mut logits = [0.0, 4.0, 3.0];
    sampler.penalize(&mut logits);
    assert_eq!(logits, [0.0, 2.5, 1.5]);
}

#[test]
fn bias_comes_before_penalties() {
    let sampling = Sampling {
        repeat_penalty: 2.0,
        logit_bias: vec![(0, 5.0), (2, -100.0), (0, -1.0)],
        ..Sampling::default()
    };
    let sampler = Sampler::new(sampling, &[0], 9);
    let mut logits = [1.0, 2.0, 3.0];
    sampler.adjust(&mut logits);
    assert_eq!(logits, [2.5, 2.0, -97.0]);
}

#[test]
fn what_is_ruled_out_is_never_chosen() {
    const OUT: f32 = f32::NEG_INFINITY;
    for temperature in [0.0, 2.0] {
        let mut sampler = Sampler::new(plain(temperature, 1.0, 3), &[], 9);
        for _ in 0..200 {
            let token = sampler.choose(&[OUT, 1.0, OUT, -80.0, OUT], &mut Vec::new());
            assert!(matches!(token, Some(1 | 3)));
        }
        assert_eq!(sampler.choose(&[OUT; 3], &mut Vec::new()), None);
    }
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
        (
            "logit_bias",
            Sampling {
                logit_bias: vec![(0, 0.0); MAX_LOGIT_BIASES + 1],
                ..valid.clone()
            },
        ),
        (
            "logit_bias",
            Sampling {
                logit_bias: vec![(0, 1.0), (1, 100.5)],
                ..valid.clone()
            },
        ),
        (
            "logit_bias",
            Sampling {
                logit_bias: vec![(0, f32::NAN)],
                ..valid.clone()
            },
        ),
    ] {
        assert_eq!(sampling.validate().unwrap_err().parameter, parameter);
    }
}
