//! Which address this computer has to the world: the API of a new host is opened to it alone. AWS, which sees the address
//! with every call, has no call that tells it; so Amazon's page for this is asked, unless the person says it.

use std::net::IpAddr;
use std::time::Duration;

use aws_sdk_ebs::primitives::ByteStream;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::http::Request;

use super::LaunchError;

/// Who is asked.
const PAGE: &str = "https://checkip.amazonaws.com";
/// Another to be asked.
const VARIABLE: &str = "KENNEL_CHECKIP_URL";
const PATIENCE: Duration = Duration::from_secs(10);
/// An address is shorter.
const LONGEST: usize = 100;

/// This computer's address as a network of one, and who said so.
///
/// # Errors
/// [`LaunchError::Unusable`]: the person has to say it.
pub async fn my_network() -> Result<(String, String), LaunchError> {
    let page = std::env::var(VARIABLE).ok().filter(|page| !page.is_empty()).unwrap_or_else(|| PAGE.to_owned());
    let unknown = |cause: String| LaunchError::Unusable {
        what: format!("this computer's address is unknown: {page} was asked, and {cause}"),
        hint: "say from where the host's API may be reached: --api-from 203.0.113.7/32".to_owned(),
    };
    let answer = tokio::time::timeout(PATIENCE, ask(&page)).await;
    let text = answer.map_err(|_| unknown("did not answer in time".to_owned()))?.map_err(&unknown)?;
    let address: IpAddr = text.trim().parse().map_err(|_| unknown("answered with no address".to_owned()))?;
    Ok((network_of(address), page))
}

async fn ask(page: &str) -> Result<String, String> {
    let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
    let request = Request::get(page).map_err(|error| error.to_string())?;
    let answer = connector.call(request).await.map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("answered with status {}", answer.status().as_u16()));
    }
    let body = ByteStream::new(answer.into_body()).collect().await.map_err(|error| error.to_string())?;
    let bytes = body.into_bytes();
    Ok(String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).into_owned())
}

fn network_of(address: IpAddr) -> String {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    format!("{address}/{bits}")
}

/// Reads a network as security groups take it: an address and the number of its bits that count, all others zero.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn network(text: &str) -> Result<String, String> {
    let explain = || "a network is written like 203.0.113.7/32, 203.0.113.0/24 or 2001:db8::/64".to_owned();
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().map_err(|_| explain())?;
    if bits.is_empty() {
        return if text.contains('/') { Err(explain()) } else { Ok(network_of(address)) };
    }
    let bits: u32 = bits.parse().map_err(|_| explain())?;
    let (value, width) = match address {
        IpAddr::V4(four) => (u128::from(u32::from(four)), 32),
        IpAddr::V6(six) => (u128::from(six), 128),
    };
    let rest = width - bits.min(width);
    let clean = rest == 128 && value == 0 || rest < 128 && value & ((1 << rest) - 1) == 0;
    if bits > width {
        Err(explain())
    } else if clean {
        Ok(format!("{address}/{bits}"))
    } else {
        Err(format!("{text} has bits set behind the first {bits}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_as_security_groups_take_them() {
        for (text, read) in [
            ("203.0.113.7", "203.0.113.7/32"),
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:db8::/64", "2001:db8::/64"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(text).unwrap(), read);
        }
        for bad in ["", "203.0.113.7/", "203.0.113.7/33", "203.0.113.7/24", "host", "2001:db8::1/64", "1.2.3/8"]
        {
            assert!(network(bad).is_err(), "{bad}");
        }
    }
}
