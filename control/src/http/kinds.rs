//! What kinds of operations there are: which part of the API answers them, and which are told of while they go on.

use super::paths::Endpoint;

impl Endpoint {
    /// Whether it is about what is routed where, and what is shown in a program's place.
    pub(super) fn is_routing(self) -> bool {
        use Endpoint as E;
        matches!(
            self,
            E::Domains | E::AddDomain | E::RemoveDomain | E::Redirects | E::AddRedirect | E::RemoveRedirect
        ) || matches!(self, E::BeginMaintenance | E::EndMaintenance | E::Page | E::SetPage | E::RemovePage)
            || matches!(self, E::TenantPage | E::SetTenantPage | E::RemoveTenantPage)
    }

    /// Whether it is about people: accounts, tokens, and who did what.
    pub(super) fn is_people(self) -> bool {
        use Endpoint as E;
        matches!(
            self,
            E::Whoami | E::Accounts | E::AddAccount | E::SetAccount | E::RemoveAccount | E::AddAccountKey
        ) || matches!(self, E::RemoveAccountKey | E::Tokens | E::AddToken | E::RemoveToken | E::Audit)
    }

    /// Whether it changes something and may take a while, so that it is worth to be told of while it goes on.
    pub(super) fn is_job(self) -> bool {
        use Endpoint as E;
        matches!(self, E::AddTenant | E::RemoveTenant | E::Deploy | E::Rollback | E::Promote | E::Move)
            || matches!(
                self,
                E::ChangeEnv | E::ReplaceData | E::SetLimits | E::Start | E::Stop | E::Sleep | E::Repair
            )
    }
}
