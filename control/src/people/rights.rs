//! Who may do what: one table, from each operation of the API to the least role that may ask for it, and the few functions that
//! decide by it. Nothing else in control decides; what stands in no row, nobody may. docs/accounts.md shows the same table.

use kennel_model::AccountName;
use kennel_model::account::Role;
use kennel_model::token::{NewToken, Scope, Token};

use super::Who;
use crate::error::{Error, Result};
use crate::http::Endpoint as E;

/// Who may ask for an operation. One about a tenant takes that the tenant is among theirs; one about none, of those that a role
/// below an operator's may ask for, is answered with what is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Anybody, signed in or not.
    Anybody,
    /// Those with this role, or a higher one, signed in or with a token for it.
    From(Role),
    /// The same, but signed in with a key: a token that could make tokens could not be revoked.
    InPerson(Role),
    /// Operators, and tokens that are for it.
    Scraped,
}

/// The table. An operation that is in no row is refused to everybody.
pub const RIGHTS: &[(Right, &[E])] = &[
    (Right::Anybody, &[E::Ping, E::Challenge, E::SignIn]),
    (Right::From(Role::Viewer), &[E::OpenApi, E::Whoami]),
    // To look at a tenant.
    (
        Right::From(Role::Viewer),
        &[E::Tenants, E::Tenant, E::Releases, E::Processes, E::Timetable, E::Logs, E::Timeline],
    ),
    (Right::From(Role::Viewer), &[E::Runtimes, E::Jobs, E::Job, E::JobEvents]),
    (Right::From(Role::Viewer), &[E::Usage, E::TenantUsage, E::TenantAccess, E::TenantTraffic]),
    (Right::From(Role::Viewer), &[E::TenantDenials, E::Egress, E::Domains, E::Redirects, E::TenantPage]),
    // To change what it runs.
    (
        Right::From(Role::Deployer),
        &[E::Deploy, E::ReleaseFiles, E::Rollback, E::Promote, E::Move, E::Env, E::ChangeEnv],
    ),
    (Right::From(Role::Deployer), &[E::Exec, E::AddJob, E::RemoveJob, E::RunJob, E::SaveData, E::ReplaceData]),
    (Right::From(Role::Deployer), &[E::SaveRelease, E::Backup, E::Scale]),
    // And what its visitors see, and who did what to it.
    (Right::From(Role::Owner), &[E::Start, E::Stop, E::Sleep, E::BeginMaintenance, E::EndMaintenance]),
    (Right::From(Role::Owner), &[E::SetTenantPage, E::RemoveTenantPage, E::Audit]),
    // One's own tokens.
    (Right::InPerson(Role::Viewer), &[E::Tokens, E::AddToken, E::RemoveToken]),
    // What takes from others: of what the host has, of what visitors reach, of what a tenant is kept from.
    (
        Right::From(Role::Operator),
        &[E::AddTenant, E::RemoveTenant, E::SetLimits, E::AddEgress, E::RemoveEgress],
    ),
    (Right::From(Role::Operator), &[E::AddDomain, E::RemoveDomain, E::AddRedirect, E::RemoveRedirect]),
    (Right::From(Role::Operator), &[E::Accounts, E::AddAccount, E::SetAccount, E::RemoveAccount]),
    (Right::From(Role::Operator), &[E::AddAccountKey, E::RemoveAccountKey]),
    (Right::From(Role::Operator), &[E::Certificates, E::AddCertificate, E::RemoveCertificate]),
    (Right::From(Role::Operator), &[E::Acme, E::AcmeOn, E::AcmeOff, E::AcmeRetry]),
    (Right::From(Role::Operator), &[E::Page, E::SetPage, E::RemovePage]),
    // The host, and what is told of all its tenants at once.
    (Right::From(Role::Operator), &[E::Host, E::Doctor, E::Repair, E::PowerOff, E::Reboot]),
    (Right::From(Role::Operator), &[E::Attest, E::Prove]),
    (Right::From(Role::Operator), &[E::Top, E::Access, E::Traffic, E::Denials]),
    (Right::Scraped, &[E::Metrics]),
];

/// Who may ask for this; nobody, where there is nothing.
pub(crate) fn right(endpoint: E) -> Option<Right> {
    RIGHTS.iter().find(|(_, endpoints)| endpoints.contains(&endpoint)).map(|(right, _)| *right)
}

/// Whether they may, with the path's tenant if it has one.
///
/// # Errors
/// [`Error::OutOfScope`] when the token is not for it, [`Error::RoleTooLow`] and [`Error::NotYourTenant`] when who shows it may not either.
pub(crate) fn decide(who: &Who, endpoint: E, tenant: Option<&str>) -> Result<()> {
    let scope = who.token.as_ref().map(|(_, scope)| *scope);
    let (least, in_person) = match right(endpoint) {
        Some(Right::Anybody) => return Ok(()),
        Some(Right::Scraped) if scope == Some(Scope::Metrics) => return Ok(()),
        Some(Right::Scraped) => (Role::Operator, false),
        Some(Right::From(least)) => (least, false),
        Some(Right::InPerson(least)) => (least, true),
        None => return Err(Error::NobodyMay),
    };
    if let Some((token, scope)) = &who.token
        && (in_person || scope.most().is_none_or(|most| most < least))
    {
        return Err(Error::OutOfScope(token.clone(), scope.may()));
    }
    at_least(who, least)?;
    match tenant {
        Some(tenant) if !sees(who, tenant) => {
            Err(Error::NotYourTenant(who.words(), tenant.chars().take(80).collect()))
        }
        _ => Ok(()),
    }
}

/// Whether this tenant is among theirs.
pub(crate) fn sees(who: &Who, tenant: &str) -> bool {
    who.tenants.as_ref().is_none_or(|theirs| theirs.iter().any(|name| name.as_str() == tenant))
}

/// Whose a new token is, and for which tenants: one's own account's, unless an operator makes it.
///
/// # Errors
/// [`Error::InvalidToken`], [`Error::RoleTooLow`], [`Error::NotYourTenant`].
pub(crate) fn of_new_token(who: &Who, wish: &NewToken) -> Result<Option<AccountName>> {
    if wish.scope == Scope::Metrics {
        at_least(who, Role::Operator)?;
        return match wish.account.is_some() || !wish.tenants.is_empty() {
            true => Err(Error::InvalidToken("a token for metrics has neither account nor tenants".into())),
            false => Ok(None),
        };
    }
    if wish.account.is_some() && wish.account != who.account {
        at_least(who, Role::Operator)?;
    } else if let Some(other) = wish.tenants.iter().find(|tenant| !sees(who, tenant.as_str())) {
        return Err(Error::NotYourTenant(who.words(), other.to_string()));
    }
    let account = wish.account.clone().or_else(|| who.account.clone());
    account.map(Some).ok_or_else(|| Error::InvalidToken("a token that may do something is an account's".into()))
}

/// Whether they may see and revoke this token.
pub(crate) fn is_theirs(who: &Who, token: &Token) -> bool {
    who.role == Role::Operator || (token.account.is_some() && token.account == who.account)
}

fn at_least(who: &Who, least: Role) -> Result<()> {
    if who.role >= least { Ok(()) } else { Err(Error::RoleTooLow(who.words(), who.role, least)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ROUTES;

    #[test]
    fn every_operation_is_in_one_row() {
        for (method, path, endpoint) in ROUTES {
            let rows = RIGHTS.iter().filter(|(_, endpoints)| endpoints.contains(endpoint)).count();
            assert_eq!(rows, 1, "{method} {path}");
        }
    }

    #[test]
    fn what_is_about_no_tenant_is_an_operators_or_answered_with_what_is_theirs() {
        let without = ROUTES.iter().filter(|(_, path, _)| !path.contains("{name}"));
        let told = without.filter(|r| matches!(right(r.2), Some(Right::From(role)) if role < Role::Operator));
        let paths: Vec<_> = told.map(|(_, path, _)| *path).collect();
        assert_eq!(
            paths,
            [
                "/v1/openapi.json",
                "/v1/session",
                "/v1/audit",
                "/v1/jobs",
                "/v1/jobs/{number}",
                "/v1/jobs/{number}/events",
                "/v1/tenants",
                "/v1/runtimes",
                "/v1/usage",
                "/v1/domains",
                "/v1/redirects"
            ]
        );
    }

    #[test]
    fn a_token_of_an_operators_is_for_less() {
        let token = Some(("ci".parse().unwrap(), Scope::Manage));
        let who = Who { token, ..Who::of_key("SHA256:x".into(), None) };
        assert!(decide(&who, E::Stop, Some("blog")).is_ok());
        for (endpoint, tenant) in [(E::SetLimits, Some("blog")), (E::Host, None), (E::AddToken, None)] {
            assert!(matches!(decide(&who, endpoint, tenant), Err(Error::OutOfScope(..))), "{endpoint:?}");
        }
    }
}
