//! Elementary functions from IEEE basic operations only.
//!
//! libm differs between systems and compilers. Addition, multiplication, division and square root don't, so
//! that everything built from them in a fixed order gives the same bits on every x86-64 CPU and under
//! emulation. Nothing here is fused: rustc never contracts `a * b + c` on its own.

/// Adding and taking away 1.5 * 2^23 rounds an `f32` below 2^22 to the nearest integer, ties to even.
pub(crate) const ROUND_F32: f32 = 12_582_912.0;
/// The same for `f64` below 2^51.
const ROUND_F64: f64 = 6_755_399_441_055_744.0;

/// e^x with a relative error near 1e-7; clamped to x in [-87, 88], so that it neither overflows nor becomes
/// subnormal.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // ln 2 in two parts: the first has so few bits that a product with a small integer is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > -87.0 { x } else { -87.0 };
    let x = if x < 88.0 { x } else { 88.0 };
    let shifted = x * std::f32::consts::LOG2_E + ROUND_F32;
    let whole = shifted - ROUND_F32;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    // The low bits of `shifted` hold the exponent as an integer, in [-126, 127].
    let exponent = shifted.to_bits().wrapping_sub(ROUND_F32.to_bits());
    p * f32::from_bits(exponent.wrapping_add(127) << 23)
}

/// Sine and cosine for |x| < 2^20, with an absolute error near 1e-16.
pub(crate) fn sin_cos(x: f64) -> (f64, f64) {
    // pi/2 in three parts (Cody and Waite); the first two have 33 bits, so that their products are exact.
    const PI_2_A: f64 = 1.570_796_326_734_125_6;
    const PI_2_B: f64 = 6.077_100_506_303_966e-11;
    const PI_2_C: f64 = 2.022_266_248_795_950_6e-21;
    let shifted = x * std::f64::consts::FRAC_2_PI + ROUND_F64;
    let quarter_turns = shifted - ROUND_F64;
    let r = ((x - quarter_turns * PI_2_A) - quarter_turns * PI_2_B) - quarter_turns * PI_2_C;
    let square = r * r;
    // Taylor series in Horner form: each factor divides by the next two numbers of the factorial.
    let mut sine = 1.0;
    for n in (1..=8).rev() {
        sine = 1.0 - square * sine / f64::from(2 * n * (2 * n + 1));
    }
    sine *= r;
    let mut cosine = 1.0;
    for n in (1..=9).rev() {
        cosine = 1.0 - square * cosine / f64::from((2 * n - 1) * 2 * n);
    }
    match shifted.to_bits() & 3 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

/// base^exponent for a normal base > 0 and results in [1e-300, 1e300], with a relative error near 1e-14.
pub(crate) fn powf(base: f64, exponent: f64) -> f64 {
    exp_f64(exponent * ln(base))
}

/// Widens IEEE half precision; exact.
#[inline(always)]
pub(crate) fn from_f16(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let exponent = u32::from(half >> 10) & 31;
    let mantissa = u32::from(half) & 0x3ff;
    let magnitude = match exponent {
        // 2^-24 is the unit of subnormals.
        0 => (mantissa as f32 * (1.0 / 16_777_216.0)).to_bits(),
        31 => 0x7f80_0000 | mantissa << 13,
        _ => (exponent + 112) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// Narrows to IEEE half precision, to nearest, ties to even; NaN becomes a quiet NaN.
#[inline(always)]
pub(crate) fn to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    // 65520 and above round to infinity.
    if magnitude >= 0x477f_f000 {
        return sign | 0x7c00;
    }
    // Below 2^-14 the result is subnormal: adding 0.5 aligns its unit, 2^-24, with the last mantissa bit.
    if magnitude < 0x3880_0000 {
        let aligned = f32::from_bits(magnitude) + 0.5;
        return sign | (aligned.to_bits() - 0.5_f32.to_bits()) as u16;
    }
    let odd = magnitude >> 13 & 1;
    sign | ((magnitude - 0x3800_0000 + 0x0fff + odd) >> 13) as u16
}

/// Natural logarithm of a normal x > 0, with a relative error near 1e-15.
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), with an argument below 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut series = 0.0;
    for n in (0..14).rev() {
        series = series * square + 1.0 / f64::from(2 * n + 1);
    }
    2.0 * s * series + f64::from(exponent) * std::f64::consts::LN_2
}

fn exp_f64(x: f64) -> f64 {
    let shifted = x * std::f64::consts::LOG2_E + ROUND_F64;
    let whole = shifted - ROUND_F64;
    let r = x - whole * std::f64::consts::LN_2;
    let mut series = 1.0;
    for n in (1..=18).rev() {
        series = 1.0 + series * r / f64::from(n);
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND_F64.to_bits());
    series * f64::from_bits(exponent.wrapping_add(1023) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_libm() {
        for step in -86_000..88_000 {
            let x = step as f32 / 1000.0;
            let expected = f64::from(x).exp();
            assert!(((f64::from(exp(x)) - expected) / expected).abs() < 3e-7, "{x}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) > 0.0 && exp(-1000.0) < 1e-37);
        assert!(exp(1000.0).is_finite());
    }

    #[test]
    fn sin_and_cos_agree_with_libm() {
        for step in 0..200_000 {
            let x = f64::from(step) * 0.731;
            let (sine, cosine) = sin_cos(x);
            assert!(
                (sine - x.sin()).abs() < 1e-13 && (cosine - x.cos()).abs() < 1e-13,
                "{x}"
            );
        }
        assert_eq!(sin_cos(0.0), (0.0, 1.0));
    }

    #[test]
    fn powf_agrees_with_libm() {
        for base in [10_000.0, 100_000.0, 500_000.0_f64] {
            for i in 0..64 {
                let exponent = -f64::from(i) / 32.0;
                let expected = base.powf(exponent);
                assert!(((powf(base, exponent) - expected) / expected).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn half_precision_is_ieee() {
        for half in 0..=u16::MAX {
            let wide = from_f16(half);
            if wide.is_nan() {
                assert!(from_f16(to_f16(wide)).is_nan());
            } else {
                assert_eq!(to_f16(wide), half, "{half:#06x}");
            }
        }
        for (value, half) in [
            (1.0, 0x3c00),
            (65504.0, 0x7bff),
            (65519.99, 0x7bff),
            (65520.0, 0x7c00),
            (1.0 + 1.0 / 2048.0, 0x3c00),
            (1.0 + 3.0 / 2048.0, 0x3c02),
            (6.103_515_6e-5, 0x0400),
            (5.960_464_5e-8, 0x0001),
            (2.980_232_2e-8, 0x0000),
            (-2.0, 0xc000),
        ] {
            assert_eq!(to_f16(value), half, "{value}");
        }
    }
}
