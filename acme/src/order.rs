//! The way of each question to an authority: its terms, an account, an order from the challenge to the chain, and when to
//! renew. What goes wrong on the way is a [`Failure`].

use std::time::Duration;

use instant_acme::{
    AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeHandle, ChallengeType, Error,
    Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use kennel_model::acme::{Account, Authority, Failure, Fault, Kind, MAX_PEM, Order, Proof};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::net::Net;
use crate::words;

/// How long an authority may take to look at a challenge, and how long to issue.
const POLL: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_secs(1)).backoff(1.3).timeout(Duration::from_secs(120));

type Result<T> = std::result::Result<T, Failure>;

/// Where the authority's terms can be read.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn terms(net: &Net, authority: &Authority) -> Result<Option<String>> {
    let directory = net.get(&authority.directory).await.map_err(words::authority)?;
    let directory: serde_json::Value = serde_json::from_slice(&directory)
        .map_err(|e| words::authority(format!("the directory makes no sense: {e}")))?;
    for needed in ["newNonce", "newAccount", "newOrder"] {
        if !directory[needed].is_string() {
            return Err(words::authority(format!("this is no ACME directory: there is no {needed} in it")));
        }
    }
    Ok(directory["meta"]["termsOfService"].as_str().map(|url| url.chars().take(300).collect()))
}

/// An account with a new key.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn register(net: &Net, authority: &Authority, email: Option<String>) -> Result<Account> {
    let contact = email.map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.as_deref().into_iter().collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let builder = instant_acme::Account::builder_with_http(Box::new(net.clone()));
    let made = builder.create(&new, authority.directory.clone(), None).await;
    let (_, credentials) = made.map_err(|e| told(net, &e))?;
    serde_json::to_string(&credentials).map(Account).map_err(words::authority)
}

/// When the authority suggests to renew a certificate.
///
/// # Errors
/// [`Failure`]; that it has no opinion is none.
pub(crate) async fn renewal(net: &Net, account: &Account, chain_pem: &str) -> Result<Option<(u64, u64)>> {
    let account = open(net, account).await?;
    let certificate = first(chain_pem)?;
    let Ok(id) = CertificateIdentifier::try_from(&certificate) else { return Ok(None) };
    let window = match account.renewal_info(&id).await {
        Ok((info, _)) => info.suggested_window,
        Err(Error::Unsupported(_)) => return Ok(None),
        Err(error) => return Err(told(net, &error)),
    };
    let seconds = |t: i64| u64::try_from(t).unwrap_or(0);
    Ok(Some((seconds(window.start.unix_timestamp()), seconds(window.end.unix_timestamp()))))
}

/// Orders a certificate; `show` answers when what is to be shown is shown.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn issue<S: Future<Output = ()>>(
    net: &Net,
    wish: &Order,
    show: impl AsyncFnOnce(Proof) -> S,
) -> Result<String> {
    let failed = |e: &Error| words::failure(Some(&wish.name), e, net.retry_after());
    let account = open(net, &wish.account).await?;
    let names = [Identifier::Dns(wish.name.to_string())];
    let mut order = match replaced(&account, wish, &names).await {
        Some(order) => order,
        None => account.new_order(&NewOrder::new(&names)).await.map_err(|e| failed(&e))?,
    };
    if prove(&mut order, wish, show).await.map_err(|e| match e {
        Stop::Error(e) => failed(&e),
        Stop::Failure(failure) => failure,
    })? {
        let ready = order.poll_ready(&POLL).await;
        match ready {
            Ok(OrderStatus::Ready) => {}
            Ok(_) => return Err(why(&mut order, wish).await.unwrap_or_else(|| nameless(wish))),
            // The order says that it is invalid, the challenge why.
            Err(error @ Error::Api(_)) => {
                return Err(why(&mut order, wish).await.unwrap_or_else(|| failed(&error)));
            }
            Err(error) => return Err(failed(&error)),
        }
    }
    order.finalize_csr(&wish.request).await.map_err(|e| failed(&e))?;
    let chain = order.poll_certificate(&POLL).await.map_err(|e| failed(&e))?;
    if chain.len() > MAX_PEM {
        return Err(words::authority("the chain is too long"));
    }
    Ok(chain)
}

enum Stop {
    Error(Error),
    Failure(Failure),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Has the challenge shown and asks the authority to look; `false` when it has seen enough before.
async fn prove<S: Future<Output = ()>>(
    order: &mut instant_acme::Order,
    wish: &Order,
    show: impl AsyncFnOnce(Proof) -> S,
) -> std::result::Result<bool, Stop> {
    let mut authorizations = order.authorizations();
    let Some(authorization) = authorizations.next().await else {
        return Err(Stop::Failure(words::authority("there is nothing to prove in the order")));
    };
    let mut authorization = authorization?;
    match authorization.status {
        AuthorizationStatus::Pending => {}
        AuthorizationStatus::Valid => return Ok(false),
        other => {
            let reason = format!("the authority says that the proof for {} is {other:?}", wish.name);
            return Err(Stop::Failure(Failure { fault: Fault::Name, ..words::authority(reason) }));
        }
    }
    let offers = |kind: Kind| authorization.challenges.iter().any(|c| c.r#type == type_of(kind));
    let other = if wish.prefer == Kind::Http { Kind::TlsAlpn } else { Kind::Http };
    let Some(kind) = [wish.prefer, other].into_iter().find(|kind| offers(*kind)) else {
        let reason = format!("for {} the authority takes no proof by HTTP or TLS", wish.name);
        return Err(Stop::Failure(Failure { fault: Fault::Name, ..words::authority(reason) }));
    };
    let Some(mut challenge) = authorization.challenge(type_of(kind)) else {
        return Err(Stop::Failure(words::authority("the authority's challenge is gone")));
    };
    let proof = proof(kind, &challenge);
    if !proof.is_sound() {
        return Err(Stop::Failure(words::authority("the authority's challenge makes no sense")));
    }
    show(proof).await.await;
    challenge.set_ready().await?;
    Ok(true)
}

fn proof(kind: Kind, challenge: &ChallengeHandle<'_>) -> Proof {
    let key_authorization = challenge.key_authorization();
    match kind {
        Kind::Http => Proof::Http {
            token: challenge.token.clone(),
            key_authorization: key_authorization.as_str().to_owned(),
        },
        Kind::TlsAlpn => {
            let mut digest = [0; 32];
            digest.copy_from_slice(key_authorization.digest().as_ref());
            Proof::TlsAlpn(digest)
        }
    }
}

const fn type_of(kind: Kind) -> ChallengeType {
    match kind {
        Kind::Http => ChallengeType::Http01,
        Kind::TlsAlpn => ChallengeType::TlsAlpn01,
    }
}

/// What the authority found when it looked.
async fn why(order: &mut instant_acme::Order, wish: &Order) -> Option<Failure> {
    let mut authorizations = order.authorizations();
    let mut authorization = authorizations.next().await?.ok()?;
    let state = authorization.refresh().await.ok()?;
    let found = state.challenges.iter().find_map(|challenge| challenge.error.as_ref())?;
    // Whatever it calls it: it has looked, and did not find what it was to find.
    Some(Failure { fault: Fault::Name, ..words::problem(Some(&wish.name), found) })
}

fn nameless(wish: &Order) -> Failure {
    let reason = format!("the authority does not believe that {} leads here, and does not say why", wish.name);
    Failure { fault: Fault::Name, ..words::authority(reason) }
}

/// An order in the place of an earlier certificate, where the authority knows such orders and takes this one.
async fn replaced(
    account: &instant_acme::Account,
    wish: &Order,
    names: &[Identifier],
) -> Option<instant_acme::Order> {
    let certificate = first(wish.replaces.as_deref()?).ok()?;
    let id = CertificateIdentifier::try_from(&certificate).ok()?;
    account.new_order(&NewOrder::new(names).replaces(id)).await.ok()
}

fn first(chain_pem: &str) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(chain_pem.as_bytes())
        .map_err(|e| words::authority(format!("the certificate to renew is not PEM: {e}")))
}

async fn open(net: &Net, account: &Account) -> Result<instant_acme::Account> {
    let credentials: AccountCredentials = serde_json::from_str(&account.0)
        .map_err(|_| Failure { fault: Fault::Account, ..words::authority("the account cannot be read") })?;
    let builder = instant_acme::Account::builder_with_http(Box::new(net.clone()));
    builder.from_credentials(credentials).await.map_err(|e| told(net, &e))
}

fn told(net: &Net, error: &Error) -> Failure {
    words::failure(None, error, net.retry_after())
}
