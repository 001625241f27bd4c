//! Quantiles of Student's t distribution, for degrees of freedom that need not be whole.

/// The t below which a share `p` in (0.5, 1) lies; `df` above 0.
pub(crate) fn quantile(p: f64, df: f64) -> f64 {
    let mut high = 1.0;
    while share_above(high, df) > 1.0 - p && high < 1e300 {
        high *= 2.0;
    }
    let mut low = 0.0;
    // Halving, until neighbours are reached: the tail is monotone, and 200 halvings are nothing.
    for _ in 0..200 {
        let middle = low + (high - low) / 2.0;
        if share_above(middle, df) > 1.0 - p { low = middle } else { high = middle }
    }
    high
}

/// P(T > t) for t >= 0: half the regularised incomplete beta function I_x(df/2, 1/2) at x = df / (df + t^2).
fn share_above(t: f64, df: f64) -> f64 {
    let x = df / (df + t * t);
    let (a, b) = (df / 2.0, 0.5);
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // The continued fraction converges fast on one side of the mean; the other is its complement.
    let whole = match x < (a + 1.0) / (a + b + 2.0) {
        true => front * beta_fraction(a, b, x) / a,
        false => 1.0 - front * beta_fraction(b, a, 1.0 - x) / b,
    };
    whole / 2.0
}

/// The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away_from_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..1000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for term in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + term * d);
            c = away_from_zero(1.0 + term / c);
            fraction *= c * d;
        }
        if (fraction / before - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// Logarithm of the gamma function of x > 0: Stirling's series (DLMF 5.11.1) where it converges, reached by recurrence.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 12.0 {
        product *= x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = (1.0 / 12.0 - y * (1.0 / 360.0 - y * (1.0 / 1260.0 - y * (1.0 / 1680.0 - y / 1188.0)))) / x;
    (x - 0.5) * x.ln() - x + (2.0 * std::f64::consts::PI).ln() / 2.0 + series - f64::ln(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_scipy() {
        // scipy.stats.t.ppf(p, df)
        for (p, df, t) in TABLE {
            let got = quantile(p, df);
            assert!((got / t - 1.0).abs() < 1e-9, "p {p}, {df} degrees of freedom: {got}, expected {t}");
        }
    }

    const TABLE: [(f64, f64, f64); 8] = [
        (0.975, 1.0, 12.706204736174694),
        (0.975, 2.0, 4.302652729749462),
        (0.975, 4.7, 2.62072607535317),
        (0.975, 11.0, 2.200985160091639),
        (0.975, 30.5, 2.04086944518632),
        (0.975, 804.0, 1.9629189419500712),
        (0.75, 3.0, 0.7648923284043444),
        (0.9995, 2.5, 18.277893528131457),
    ];
}
