//! Each error's stable word for programs, and the HTTP status that it is answered with.

use hyper::StatusCode;
use kennel_model::msg::Refusal;

use super::Error;
use crate::init::InitError;

impl Error {
    /// Whether somebody was not let in.
    pub(crate) fn is_about_sign_in(&self) -> bool {
        matches!(self, Self::TooManyWrong(_)) || self.code().1 == StatusCode::UNAUTHORIZED
    }

    /// The stable word for programs, and the HTTP status.
    pub fn code(&self) -> (&'static str, StatusCode) {
        use StatusCode as S;
        match self {
            Self::BadRequest(_) => ("bad-request", S::BAD_REQUEST),
            Self::BadKey(_) => ("bad-key", S::BAD_REQUEST),
            Self::SignInRequired => ("sign-in-required", S::UNAUTHORIZED),
            Self::SignInRefused => ("sign-in-refused", S::UNAUTHORIZED),
            Self::TokenExpired(_) => ("token-expired", S::UNAUTHORIZED),
            Self::TokenRevoked(_) => ("token-revoked", S::UNAUTHORIZED),
            Self::RoleTooLow(..) | Self::NobodyMay => ("role-too-low", S::FORBIDDEN),
            Self::NotYourTenant(..) => ("not-your-tenant", S::FORBIDDEN),
            Self::TooManyStreams(_) => ("too-many-streams", S::TOO_MANY_REQUESTS),
            Self::InvalidAccount(_) => ("invalid-account", S::UNPROCESSABLE_ENTITY),
            Self::AccountExists(_) => ("account-exists", S::CONFLICT),
            Self::NoSuchAccount(_) => ("no-such-account", S::NOT_FOUND),
            Self::TooManyAccounts(_) => ("too-many-accounts", S::CONFLICT),
            Self::KeyTaken(..) => ("key-taken", S::CONFLICT),
            Self::NoSuchKey(..) => ("no-such-key", S::NOT_FOUND),
            Self::TooManyKeys(_) => ("too-many-keys", S::CONFLICT),
            Self::InvalidToken(_) => ("invalid-token", S::UNPROCESSABLE_ENTITY),
            Self::OutOfScope(..) => ("out-of-scope", S::FORBIDDEN),
            Self::TooManyWrong(_) => ("too-many-wrong", S::TOO_MANY_REQUESTS),
            Self::TokenExists(_) => ("token-exists", S::CONFLICT),
            Self::NoSuchToken(_) => ("no-such-token", S::NOT_FOUND),
            Self::TooManyTokens(_) => ("too-many-tokens", S::CONFLICT),
            Self::InvalidJob(_) => ("invalid-job", S::UNPROCESSABLE_ENTITY),
            Self::InvalidScale(_) => ("invalid-scale", S::UNPROCESSABLE_ENTITY),
            Self::NoSuchProcess(..) => ("no-such-process", S::NOT_FOUND),
            Self::NoSuchJob(..) => ("no-such-job", S::NOT_FOUND),
            Self::UnknownJob(_) => ("unknown-job", S::NOT_FOUND),
            Self::TooManyJobs(_) => ("too-many-jobs", S::CONFLICT),
            Self::BadCertificate(_) => ("bad-certificate", S::UNPROCESSABLE_ENTITY),
            Self::NoSuchCertificate(_) => ("no-such-certificate", S::NOT_FOUND),
            Self::TooManyCertificates(_) => ("too-many-certificates", S::CONFLICT),
            Self::AcmeTerms(_) => ("acme-terms", S::CONFLICT),
            Self::Acme(_) => ("acme-failed", S::BAD_GATEWAY),
            Self::NotOrdered(..) => ("not-ordered", S::CONFLICT),
            Self::NoSuchPath(_) => ("no-such-path", S::NOT_FOUND),
            Self::Method { .. } => ("method-not-allowed", S::METHOD_NOT_ALLOWED),
            Self::Timeout => ("timeout", S::REQUEST_TIMEOUT),
            Self::TooLarge(_) => ("too-large", S::PAYLOAD_TOO_LARGE),
            Self::MediaType(_) => ("unsupported-media-type", S::UNSUPPORTED_MEDIA_TYPE),
            Self::NoSuchTenant(_) => ("no-such-tenant", S::NOT_FOUND),
            Self::TenantExists(_) => ("tenant-exists", S::CONFLICT),
            Self::DomainTaken { .. } => ("domain-taken", S::CONFLICT),
            Self::NoSuchDomain(..) => ("no-such-domain", S::NOT_FOUND),
            Self::TooManyDomains(..) => ("too-many-domains", S::CONFLICT),
            Self::InvalidRedirect(_) => ("invalid-redirect", S::UNPROCESSABLE_ENTITY),
            Self::InvalidPage(_) => ("invalid-page", S::UNPROCESSABLE_ENTITY),
            Self::TooManyPages => ("too-many-pages", S::CONFLICT),
            Self::NoPage(_) => ("no-page", S::NOT_FOUND),
            Self::InvalidMaintenance(_) => ("invalid-maintenance", S::UNPROCESSABLE_ENTITY),
            Self::NoFreeSlot(_) => ("no-free-slot", S::CONFLICT),
            Self::Busy(..) | Self::TpmBusy | Self::Init(InitError::Refused(Refusal::Busy(_))) => {
                ("busy", S::CONFLICT)
            }
            Self::Needed(..) => ("busy", S::CONFLICT),
            Self::NoTpm => ("no-tpm", S::CONFLICT),
            Self::Tpm(_) => ("tpm-failed", S::INTERNAL_SERVER_ERROR),
            Self::NotDeployed(_) => ("not-deployed", S::CONFLICT),
            Self::AlreadyServes(..) => ("already-serves", S::CONFLICT),
            Self::NoSuchRelease(..) => ("no-such-release", S::NOT_FOUND),
            Self::RunsThere(..) => ("runs-there", S::CONFLICT),
            Self::NotMovable { .. } => ("not-movable", S::UNPROCESSABLE_ENTITY),
            Self::NeverReleased(..) => ("no-such-release", S::NOT_FOUND),
            Self::NoLines(..) => ("no-lines", S::NOT_FOUND),
            Self::NothingEarlier(..) => ("nothing-earlier", S::CONFLICT),
            Self::NothingNewer(..) => ("nothing-newer", S::CONFLICT),
            Self::NoTrial(_) => ("no-trial", S::CONFLICT),
            Self::NotReady { .. } => ("not-ready", S::UNPROCESSABLE_ENTITY),
            Self::Build { .. } => ("not-built", S::UNPROCESSABLE_ENTITY),
            Self::ReleaseCommand { .. } => ("release-failed", S::UNPROCESSABLE_ENTITY),
            Self::DoesNotStart { .. } => ("does-not-start", S::UNPROCESSABLE_ENTITY),
            Self::InvalidEnv(_) => ("invalid-env", S::UNPROCESSABLE_ENTITY),
            Self::NoSuchVariable(..) => ("no-such-variable", S::NOT_FOUND),
            Self::BeingRemoved(_) => ("being-removed", S::CONFLICT),
            Self::NoSuchRuntime(..) => ("no-such-runtime", S::UNPROCESSABLE_ENTITY),
            Self::Oversold(_) => ("oversold", S::CONFLICT),
            Self::InvalidTenant(_) => ("invalid-tenant", S::UNPROCESSABLE_ENTITY),
            Self::InvalidRule(..) => ("invalid-rule", S::UNPROCESSABLE_ENTITY),
            Self::NoSuchRule(..) => ("no-such-rule", S::NOT_FOUND),
            Self::UploadRefused(_) => ("upload-refused", S::UNPROCESSABLE_ENTITY),
            Self::NotSaved(_) => ("not-saved", S::CONFLICT),
            Self::DataRefused(_) => ("data-refused", S::UNPROCESSABLE_ENTITY),
            Self::BasisDiffers(_) => ("basis-differs", S::CONFLICT),
            Self::UploadBroken(_) => ("upload-broken", S::BAD_REQUEST),
            Self::NoProgram { .. } => ("no-program", S::UNPROCESSABLE_ENTITY),
            Self::NotRunnable { .. } => ("not-runnable", S::UNPROCESSABLE_ENTITY),
            Self::Init(InitError::Refused(Refusal::Invalid(_))) => ("host-refused", S::CONFLICT),
            Self::Init(InitError::Refused(Refusal::Failed(_))) | Self::NotActivated(..) => {
                ("host-failed", S::INTERNAL_SERVER_ERROR)
            }
            Self::Init(_) => ("host-slow", S::SERVICE_UNAVAILABLE),
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE),
            Self::Failsafe => ("failsafe", S::SERVICE_UNAVAILABLE),
            Self::NoSuchSnapshot(_) => ("no-such-snapshot", S::NOT_FOUND),
            Self::NotBroken => ("not-broken", S::CONFLICT),
            Self::Registry(_) | Self::Damaged(_) | Self::Io(..) | Self::Internal(_) => {
                ("internal", S::INTERNAL_SERVER_ERROR)
            }
        }
    }
}
