//! What `kennel-imds` makes of the metadata service's answers. The bytes are one connection's, which may come in pieces and
//! end anywhere.

use kennel_imds::http::{MAX_BODY, MAX_HEAD, parse};

/// Reads them as one whole, and as if they had stopped to come after the first and the last third.
///
/// # Panics
/// When an answer is larger than it may be, changes by what comes after it, or is waited for without end.
pub fn run(data: &[u8]) {
    let whole = parse(data, true);
    match &whole {
        Ok(Some(answer)) => {
            assert!(answer.body.len() <= MAX_BODY && (200..600).contains(&answer.status), "{answer:?}");
        }
        Ok(None) => panic!("more is waited for although the connection has ended"),
        Err(_) => {}
    }
    for cut in [data.len() / 3, data.len() / 3 * 2, data.len()] {
        let first = data.get(..cut).unwrap_or_default();
        match parse(first, false) {
            Ok(Some(early)) => {
                assert_eq!(whole.as_ref().ok(), Some(&Some(early)), "more came, and it is another answer")
            }
            Ok(None) => assert!(first.len() <= MAX_HEAD + 4 + MAX_BODY, "it would be read for ever"),
            Err(_) => {}
        }
    }
}

/// An answer of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "HTTP/1.1 200 OK\r\nX-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21600\r\nContent-Length: 9\r\n\r\nAQAEAtok==",
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nServer: EC2ws\r\n\r\nuntil the end",
        "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
