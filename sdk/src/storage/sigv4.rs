//! AWS's signature, version 4, of requests without a body: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>.

use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderName, HeaderValue};
use ring::hmac;

use super::list::{hex, sha256};

/// SHA-256 of nothing: what S3 wants of a request without a body.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Keys of AWS, or of a store that is compatible with S3.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

/// Signs a request. Its path and query have to be escaped as signatures want them.
pub(super) fn sign(parts: &mut Parts, keys: &Keys, region: &str, now: SystemTime) {
    let time = Time::of(now);
    let stamp = time.stamp();
    let day = &stamp[..8];
    let host = parts.uri.authority().map(ToString::to_string).unwrap_or_default();
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            parts.headers.insert(HeaderName::from_static(name), value);
        }
    };
    add("x-amz-date", &stamp);
    add("x-amz-content-sha256", EMPTY);
    let mut signed = vec![("host", host.as_str()), ("x-amz-content-sha256", EMPTY), ("x-amz-date", &stamp)];
    if let Some(token) = &keys.token {
        add("x-amz-security-token", token);
        signed.push(("x-amz-security-token", token));
    }
    let names = signed.iter().map(|it| it.0).collect::<Vec<_>>().join(";");
    let headers: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let mut query: Vec<_> =
        parts.uri.query().unwrap_or_default().split('&').filter(|it| !it.is_empty()).collect();
    query.sort_unstable();
    let query: Vec<_> =
        query.into_iter().map(|it| if it.contains('=') { it.to_owned() } else { format!("{it}=") }).collect();
    let canonical =
        format!("{}\n{}\n{}\n{headers}\n{names}\n{EMPTY}", parts.method, parts.uri.path(), query.join("&"));
    let scope = format!("{day}/{region}/s3/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let mut key = hmac_sha256(format!("AWS4{}", keys.secret).as_bytes(), day.as_bytes());
    for part in [region, "s3", "aws4_request"] {
        key = hmac_sha256(&key, part.as_bytes());
    }
    let signature = hex(&hmac_sha256(&key, text.as_bytes()));
    let id = &keys.id;
    add(
        "authorization",
        &format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"),
    );
}

/// HMAC with SHA-256.
pub(super) fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

/// A moment of the calendar, in UTC.
pub(super) struct Time {
    year: i64,
    month: u32,
    day: u32,
    weekday: usize,
    seconds: u64,
}

impl Time {
    /// Takes a moment apart (the days of the civil calendar count from 1 March of the year 0, in eras of 400 years).
    pub(super) fn of(now: SystemTime) -> Self {
        let all = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let days = i64::try_from(all / 86_400).unwrap_or(0);
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let of_era = shifted % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = u32::try_from(of_year - (153 * shifted_month + 2) / 5 + 1).unwrap_or(1);
        let month = u32::try_from(if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 })
            .unwrap_or(1);
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let weekday = usize::try_from((days + 4) % 7).unwrap_or(0);
        Self { year, month, day, weekday, seconds: all % 86_400 }
    }

    /// Such as `20130524T000000Z`.
    pub(super) fn stamp(&self) -> String {
        let (hour, minute, second) = self.clock();
        format!("{:04}{:02}{:02}T{hour:02}{minute:02}{second:02}Z", self.year, self.month, self.day)
    }

    /// Such as `Fri, 24 May 2013 00:00:00 GMT`.
    pub(super) fn http(&self) -> String {
        const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (hour, minute, second) = self.clock();
        let (day, month) = (DAYS[self.weekday], MONTHS[self.month as usize - 1]);
        format!("{day}, {:02} {month} {:04} {hour:02}:{minute:02}:{second:02} GMT", self.day, self.year)
    }

    fn clock(&self) -> (u64, u64, u64) {
        (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The example of S3's documentation, `GET Bucket (List Objects)`.
    #[test]
    fn a_request_is_signed_as_in_the_documentation() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let request = http::Request::get("https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J")
            .body(())
            .unwrap();
        let (mut parts, ()) = request.into_parts();
        let keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            token: None,
        };
        sign(&mut parts, &keys, "us-east-1", now);
        let found = parts.headers["authorization"].to_str().unwrap();
        let wanted = "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        assert!(found.ends_with(wanted), "{found}");
        assert_eq!(Time::of(now).http(), "Fri, 24 May 2013 00:00:00 GMT");
        assert_eq!(Time::of(now + Duration::from_secs(86_400 * 1012)).stamp(), "20160301T000000Z");
    }
}
