//! Which path and method mean what. A test holds this table against `openapi.json`.

use hyper::Method;

use crate::error::{Error, Result};
use crate::people::rights::{Right, right};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Whether the API answers.
    Ping,
    /// The API's description.
    OpenApi,
    /// Something to sign.
    Challenge,
    /// A token.
    SignIn,
    /// Who asks.
    Whoami,
    /// People.
    Accounts,
    /// One more.
    AddAccount,
    /// Other rights.
    SetAccount,
    /// One's end.
    RemoveAccount,
    /// One more key.
    AddAccountKey,
    /// One's end.
    RemoveAccountKey,
    /// Who changed what.
    Audit,
    /// Changes that are under way, and the last that were.
    Jobs,
    /// One.
    Job,
    /// How one goes on.
    JobEvents,
    /// The host's state.
    Host,
    /// A clean shutdown.
    PowerOff,
    /// A clean restart.
    Reboot,
    /// How the registry is.
    Doctor,
    /// A copy in its place.
    Repair,
    /// All tenants.
    Tenants,
    /// A new tenant.
    AddTenant,
    /// One tenant.
    Tenant,
    /// A tenant's end.
    RemoveTenant,
    /// A new release.
    Deploy,
    /// What it is beside its files.
    Backup,
    /// All of its data.
    SaveData,
    /// Other data.
    ReplaceData,
    /// All releases.
    Releases,
    /// What one holds.
    ReleaseFiles,
    /// One's files.
    SaveRelease,
    /// A switch to another release.
    Rollback,
    /// A switch to a newer one.
    Promote,
    /// What programs can run on.
    Runtimes,
    /// Another of these.
    Move,
    /// Something else run in a tenant's slot.
    Exec,
    /// What runs beside a program.
    Processes,
    /// How often.
    Scale,
    /// What runs by the clock.
    Timetable,
    /// Something more.
    AddJob,
    /// A job's end.
    RemoveJob,
    /// A job's run, now.
    RunJob,
    /// A program's variables.
    Env,
    /// Others.
    ChangeEnv,
    /// Other limits.
    SetLimits,
    /// A start.
    Start,
    /// A stop.
    Stop,
    /// A way down the ladder.
    Sleep,
    /// What a tenant may connect to.
    Egress,
    /// A new rule about that.
    AddEgress,
    /// A rule's end.
    RemoveEgress,
    /// What a tenant printed.
    Logs,
    /// Requests that belong to no tenant.
    Access,
    /// Requests to a tenant.
    TenantAccess,
    /// All requests as they come.
    Traffic,
    /// A tenant's.
    TenantTraffic,
    /// What the TPM says.
    Attest,
    /// The harmless probes, run.
    Prove,
    /// What was denied to anybody.
    Denials,
    /// What was denied to a tenant.
    TenantDenials,
    /// What tenants do and use now.
    Top,
    /// What tenants have used.
    Usage,
    /// What a tenant has used, by the hour.
    TenantUsage,
    /// What a tenant's program did.
    Timeline,
    /// What Prometheus reads.
    Metrics,
    /// What programs show that cannot sign in.
    Tokens,
    /// A new one.
    AddToken,
    /// One's end.
    RemoveToken,
    /// Certificates of sites.
    Certificates,
    /// A new one.
    AddCertificate,
    /// One's end.
    RemoveCertificate,
    /// What is routed to whom.
    Domains,
    /// A new one.
    AddDomain,
    /// One's end.
    RemoveDomain,
    /// What is sent elsewhere.
    Redirects,
    /// A new one.
    AddRedirect,
    /// One's end.
    RemoveRedirect,
    /// Visitors are told that a tenant is worked on.
    BeginMaintenance,
    /// They reach it again.
    EndMaintenance,
    /// The host's own page.
    Page,
    /// Another.
    SetPage,
    /// Its end.
    RemovePage,
    /// A tenant's own page.
    TenantPage,
    /// Another.
    SetTenantPage,
    /// Its end.
    RemoveTenantPage,
    /// How ACME stands.
    Acme,
    /// An authority to order from.
    AcmeOn,
    /// None any more.
    AcmeOff,
    /// An order of a name, now.
    AcmeRetry,
}

/// One row of the API: its method, its path with `{name}` for the tenant (and `{number}` for a part of it, `{token}`,
/// `{account}`, `{certificate}` and `{domain}` for those), its meaning. Who may ask for it stands in [`crate::people::rights`].
pub const ROUTES: &[(Method, &str, Endpoint)] = &[
    (Method::GET, "/v1/ping", Endpoint::Ping),
    (Method::GET, "/v1/openapi.json", Endpoint::OpenApi),
    (Method::POST, "/v1/session/challenge", Endpoint::Challenge),
    (Method::POST, "/v1/session", Endpoint::SignIn),
    (Method::GET, "/v1/session", Endpoint::Whoami),
    (Method::GET, "/v1/accounts", Endpoint::Accounts),
    (Method::POST, "/v1/accounts", Endpoint::AddAccount),
    (Method::PUT, "/v1/accounts/{account}", Endpoint::SetAccount),
    (Method::DELETE, "/v1/accounts/{account}", Endpoint::RemoveAccount),
    (Method::POST, "/v1/accounts/{account}/keys", Endpoint::AddAccountKey),
    (Method::DELETE, "/v1/accounts/{account}/keys", Endpoint::RemoveAccountKey),
    (Method::GET, "/v1/audit", Endpoint::Audit),
    (Method::GET, "/v1/jobs", Endpoint::Jobs),
    (Method::GET, "/v1/jobs/{number}", Endpoint::Job),
    (Method::GET, "/v1/jobs/{number}/events", Endpoint::JobEvents),
    (Method::GET, "/v1/host", Endpoint::Host),
    (Method::POST, "/v1/host/power-off", Endpoint::PowerOff),
    (Method::POST, "/v1/host/reboot", Endpoint::Reboot),
    (Method::GET, "/v1/host/doctor", Endpoint::Doctor),
    (Method::POST, "/v1/host/repair", Endpoint::Repair),
    (Method::POST, "/v1/host/attest", Endpoint::Attest),
    (Method::POST, "/v1/host/prove", Endpoint::Prove),
    (Method::GET, "/v1/tenants", Endpoint::Tenants),
    (Method::POST, "/v1/tenants", Endpoint::AddTenant),
    (Method::GET, "/v1/tenants/{name}", Endpoint::Tenant),
    (Method::DELETE, "/v1/tenants/{name}", Endpoint::RemoveTenant),
    (Method::POST, "/v1/tenants/{name}/releases", Endpoint::Deploy),
    (Method::GET, "/v1/tenants/{name}/releases", Endpoint::Releases),
    (Method::GET, "/v1/tenants/{name}/releases/{number}/files", Endpoint::ReleaseFiles),
    (Method::POST, "/v1/tenants/{name}/releases/{number}/save", Endpoint::SaveRelease),
    (Method::POST, "/v1/tenants/{name}/rollback", Endpoint::Rollback),
    (Method::POST, "/v1/tenants/{name}/promote", Endpoint::Promote),
    (Method::GET, "/v1/runtimes", Endpoint::Runtimes),
    (Method::POST, "/v1/tenants/{name}/move", Endpoint::Move),
    (Method::POST, "/v1/tenants/{name}/exec", Endpoint::Exec),
    (Method::POST, "/v1/tenants/{name}/backup", Endpoint::Backup),
    (Method::POST, "/v1/tenants/{name}/data/save", Endpoint::SaveData),
    (Method::PUT, "/v1/tenants/{name}/data", Endpoint::ReplaceData),
    (Method::GET, "/v1/tenants/{name}/processes", Endpoint::Processes),
    (Method::POST, "/v1/tenants/{name}/processes", Endpoint::Scale),
    (Method::GET, "/v1/tenants/{name}/cron", Endpoint::Timetable),
    (Method::POST, "/v1/tenants/{name}/cron", Endpoint::AddJob),
    (Method::DELETE, "/v1/tenants/{name}/cron/{number}", Endpoint::RemoveJob),
    (Method::POST, "/v1/tenants/{name}/cron/{number}/run", Endpoint::RunJob),
    (Method::GET, "/v1/tenants/{name}/env", Endpoint::Env),
    (Method::POST, "/v1/tenants/{name}/env", Endpoint::ChangeEnv),
    (Method::PUT, "/v1/tenants/{name}/limits", Endpoint::SetLimits),
    (Method::POST, "/v1/tenants/{name}/start", Endpoint::Start),
    (Method::POST, "/v1/tenants/{name}/stop", Endpoint::Stop),
    (Method::POST, "/v1/tenants/{name}/sleep", Endpoint::Sleep),
    (Method::GET, "/v1/tenants/{name}/logs", Endpoint::Logs),
    (Method::GET, "/v1/tenants/{name}/access", Endpoint::TenantAccess),
    (Method::GET, "/v1/tenants/{name}/traffic", Endpoint::TenantTraffic),
    (Method::GET, "/v1/access", Endpoint::Access),
    (Method::GET, "/v1/traffic", Endpoint::Traffic),
    (Method::GET, "/v1/tenants/{name}/denials", Endpoint::TenantDenials),
    (Method::GET, "/v1/tenants/{name}/egress", Endpoint::Egress),
    (Method::POST, "/v1/tenants/{name}/egress", Endpoint::AddEgress),
    (Method::DELETE, "/v1/tenants/{name}/egress/{number}", Endpoint::RemoveEgress),
    (Method::GET, "/v1/denials", Endpoint::Denials),
    (Method::GET, "/v1/top", Endpoint::Top),
    (Method::GET, "/v1/usage", Endpoint::Usage),
    (Method::GET, "/v1/tenants/{name}/usage", Endpoint::TenantUsage),
    (Method::GET, "/v1/tenants/{name}/timeline", Endpoint::Timeline),
    (Method::GET, "/v1/metrics", Endpoint::Metrics),
    (Method::GET, "/v1/tokens", Endpoint::Tokens),
    (Method::POST, "/v1/tokens", Endpoint::AddToken),
    (Method::DELETE, "/v1/tokens/{token}", Endpoint::RemoveToken),
    (Method::GET, "/v1/certificates", Endpoint::Certificates),
    (Method::POST, "/v1/certificates", Endpoint::AddCertificate),
    (Method::DELETE, "/v1/certificates/{certificate}", Endpoint::RemoveCertificate),
    (Method::GET, "/v1/domains", Endpoint::Domains),
    (Method::POST, "/v1/tenants/{name}/domains", Endpoint::AddDomain),
    (Method::DELETE, "/v1/tenants/{name}/domains", Endpoint::RemoveDomain),
    (Method::GET, "/v1/redirects", Endpoint::Redirects),
    (Method::POST, "/v1/tenants/{name}/redirects", Endpoint::AddRedirect),
    (Method::DELETE, "/v1/tenants/{name}/redirects", Endpoint::RemoveRedirect),
    (Method::PUT, "/v1/tenants/{name}/maintenance", Endpoint::BeginMaintenance),
    (Method::DELETE, "/v1/tenants/{name}/maintenance", Endpoint::EndMaintenance),
    (Method::GET, "/v1/page", Endpoint::Page),
    (Method::PUT, "/v1/page", Endpoint::SetPage),
    (Method::DELETE, "/v1/page", Endpoint::RemovePage),
    (Method::GET, "/v1/tenants/{name}/page", Endpoint::TenantPage),
    (Method::PUT, "/v1/tenants/{name}/page", Endpoint::SetTenantPage),
    (Method::DELETE, "/v1/tenants/{name}/page", Endpoint::RemoveTenantPage),
    (Method::GET, "/v1/acme", Endpoint::Acme),
    (Method::PUT, "/v1/acme", Endpoint::AcmeOn),
    (Method::DELETE, "/v1/acme", Endpoint::AcmeOff),
    (Method::POST, "/v1/acme/{domain}", Endpoint::AcmeRetry),
];

impl Endpoint {
    /// Whether anybody may ask, signed in or not.
    pub fn is_public(self) -> bool {
        self.right() == Some(Right::Anybody)
    }

    /// Who may ask; nobody, where there is nothing.
    pub fn right(self) -> Option<Right> {
        right(self)
    }

    /// The word for it in the audit log: `set-limits` for `SetLimits`.
    pub(crate) fn word(self) -> String {
        let mut word = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !word.is_empty() {
                word.push('-');
            }
            word.push(letter.to_ascii_lowercase());
        }
        word
    }
}

/// The meaning of a request's method and path, with the path's tenant when it has one.
pub(super) fn resolve<'p>(method: &Method, path: &'p str) -> Result<(Endpoint, Option<&'p str>)> {
    let mut allowed = Vec::new();
    for (takes, pattern, endpoint) in ROUTES {
        if let Some(name) = matches(pattern, path) {
            if takes == method {
                return Ok((*endpoint, name));
            }
            allowed.push(takes.as_str());
        }
    }
    let path = path.chars().take(200).collect();
    if allowed.is_empty() {
        return Err(Error::NoSuchPath(path));
    }
    Err(Error::Method { method: method.to_string(), path, allow: allowed.join(", ") })
}

/// Whether the path has the pattern's form, and what stands for `{name}` in it.
fn matches<'p>(pattern: &str, path: &'p str) -> Option<Option<&'p str>> {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    let mut name = None;
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return Some(name),
            (Some("{name}"), Some(given)) if !given.is_empty() => name = Some(given),
            // Whoever answers reads it.
            (Some("{number}" | "{token}" | "{account}" | "{certificate}" | "{domain}"), Some(given))
                if !given.is_empty() => {}
            (Some(expected), Some(given)) if expected == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart_exactly() {
        let ask = |method: Method, path| resolve(&method, path);
        assert_eq!(ask(Method::GET, "/v1/ping").unwrap(), (Endpoint::Ping, None));
        assert_eq!(ask(Method::GET, "/v1/tenants/blog").unwrap(), (Endpoint::Tenant, Some("blog")));
        assert_eq!(ask(Method::GET, "/v1/tenants/blog/logs").unwrap(), (Endpoint::Logs, Some("blog")));
        let rule = ask(Method::DELETE, "/v1/tenants/blog/egress/7").unwrap();
        assert_eq!(rule, (Endpoint::RemoveEgress, Some("blog")));
        for path in ["/", "", "/v1", "/v1/ping/", "//v1/ping", "/v1/tenants/", "/v1/tenants/a/b", "/v2/ping"] {
            assert!(matches!(ask(Method::GET, path), Err(Error::NoSuchPath(_))), "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let Err(Error::Method { allow, .. }) = resolve(&Method::PUT, "/v1/tenants/blog") else { panic!() };
        assert_eq!(allow, "GET, DELETE");
        assert!(matches!(resolve(&Method::HEAD, "/v1/ping"), Err(Error::Method { .. })));
    }

    #[test]
    fn only_ping_and_sign_in_are_public() {
        let public: Vec<_> = ROUTES.iter().filter(|r| r.2.is_public()).map(|r| r.1).collect();
        assert_eq!(public, ["/v1/ping", "/v1/session/challenge", "/v1/session"]);
        assert_eq!(Endpoint::ChangeEnv.word(), "change-env");
    }
}
