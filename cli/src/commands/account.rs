//! `kennel account`, `kennel login` and `kennel audit`: who may what on a host, who one is there, and who did what.

use std::path::Path;

use kennel_model::AccountName;
use kennel_model::account::{Account, AccountRights, NewAccount, NewAccountKey, Role, Whoami};
use kennel_model::audit::{Audit, AuditEntry};
use kennel_model::seeing::date;
use ssh_key::{HashAlg, PublicKey};

use super::Context;
use crate::args::{self, AccountCommand, AccountKeyCommand, RightsArgs};
use crate::exit::Failure;
use crate::keys::public_line;
use crate::ui::{SafeLines, ago, table};

const PATH: &str = "/v1/accounts";

pub(super) async fn account(context: &Context, command: AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Add { name, rights, keys } => {
            let keys = keys.iter().map(|path| public_line(path)).collect::<Result<_, _>>()?;
            let AccountRights { role, tenants } = rights.into();
            let wish = NewAccount { name, role, tenants, keys };
            let made: Account = context.client()?.post(PATH, &wish).await?;
            if made.keys.is_empty() {
                let name = &made.name;
                context.ui.note(&format!("{name} has no key: `kennel token add NAME --account {name}` or `kennel account key add {name}`"));
            }
            show(context, &made)
        }
        AccountCommand::Set { name, rights } => {
            let rights: AccountRights = rights.into();
            show(context, &context.client()?.put(&path(&name), &rights).await?)
        }
        AccountCommand::Ls => ls(context).await,
        AccountCommand::Rm { name } => {
            context.client()?.delete(&path(&name)).await?;
            context.ui.note(&format!("account {name} is gone, with its sessions and tokens"));
            Ok(())
        }
        AccountCommand::Key(AccountKeyCommand::Add { name, key }) => {
            let wish = NewAccountKey { key: public_line(&key)? };
            show(context, &context.client()?.post(&format!("{}/keys", path(&name)), &wish).await?)
        }
        AccountCommand::Key(AccountKeyCommand::Rm { name, key }) => {
            let path = format!("{}/keys?fingerprint={}", path(&name), fingerprint(&key)?);
            show(context, &context.client()?.remove(&path).await?)
        }
    }
}

/// Signs in anew, and says as whom.
pub(super) async fn login(context: &Context) -> Result<(), Failure> {
    let mut client = context.client()?;
    let whoami: Whoami = client.whoami().await?;
    let host = client.name().clone();
    Ok(context.ui.result(&whoami, |whoami| format!("{host} knows you as {}\n", as_whom(whoami)))?)
}

pub(super) async fn audit(context: &Context, args: &args::Audit) -> Result<(), Failure> {
    let mut path = format!("/v1/audit?lines={}", args.lines);
    if let Some(tenant) = &args.tenant {
        path += &format!("&tenant={tenant}");
    }
    if let Some(seconds) = args.since.and_then(|since| since.0) {
        path += &format!("&since_s={seconds}");
    }
    let audit: Audit = context.client()?.get(&path).await?;
    if audit.forgotten > 0 {
        context.ui.note(&format!(
            "{} older entries were forgotten: the host keeps the last of each person",
            audit.forgotten
        ));
    }
    if let Some(refused) = audit.refused.filter(|refused| *refused > 0) {
        context.ui.note(&format!("{refused} attempts to get in were refused since the API was started"));
    }
    Ok(context.ui.result(&audit, |audit| entries(&audit.entries))?)
}

impl From<RightsArgs> for AccountRights {
    fn from(args: RightsArgs) -> Self {
        Self { role: args.role.into(), tenants: args.tenants }
    }
}

async fn ls(context: &Context) -> Result<(), Failure> {
    let accounts: Vec<Account> = context.client()?.get(PATH).await?;
    Ok(context.ui.result(&accounts, |accounts| {
        if accounts.is_empty() {
            return "no accounts: only the keys of the host's user-data sign in; make one: kennel account add\n".into();
        }
        let rows: Vec<_> = accounts.iter().flat_map(rows).collect();
        safe(&table(["NAME", "ROLE", "TENANTS", "MADE", "BY", "KEYS"], &rows))
    })?)
}

/// A line, and one more for each key after the first.
fn rows(account: &Account) -> Vec<[String; 6]> {
    let mut keys = account.keys.iter().map(|key| format!("{} {}", key.fingerprint, key.comment));
    let first = [
        account.name.to_string(),
        account.role.as_str().into(),
        tenants(account),
        ago(account.created_at_s),
        account.by.clone(),
        keys.next().unwrap_or_default(),
    ];
    let rest = keys.map(|key| [String::new(), String::new(), String::new(), String::new(), String::new(), key]);
    std::iter::once(first).chain(rest).collect()
}

fn tenants(account: &Account) -> String {
    match account.role {
        Role::Operator => "all".into(),
        _ => list(&account.tenants),
    }
}

fn show(context: &Context, account: &Account) -> Result<(), Failure> {
    Ok(context.ui.result(account, |account| {
        let keys: String =
            account.keys.iter().map(|k| format!("  {} {}\n", k.fingerprint, k.comment)).collect();
        safe(&format!("{} is {} of {}\n{keys}", account.name, account.role.one(), tenants(account)))
    })?)
}

fn as_whom(whoami: &Whoami) -> String {
    let of = match &whoami.tenants {
        None => "every tenant".into(),
        Some(none) if none.is_empty() => "no tenant any more".into(),
        Some(some) => list(some),
    };
    let by = whoami.token.as_ref().map_or_else(String::new, |token| format!(", by the token {token}"));
    format!("{}: {} of {of}{by}", whoami.by, whoami.role.one())
}

fn entries(entries: &[AuditEntry]) -> String {
    let rows: Vec<[String; 7]> = entries
        .iter()
        .map(|entry| {
            let tenant = entry.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
            [
                time(entry.at_ms),
                who(entry),
                entry.from.clone(),
                entry.act.clone(),
                tenant,
                entry.result.clone(),
                entry.detail.clone(),
            ]
        })
        .collect();
    safe(&table(["WHEN (UTC)", "WHO", "FROM", "WHAT", "TENANT", "RESULT", "MORE"], &rows))
}

/// The account with what it showed; the key alone, where it has no account.
fn who(entry: &AuditEntry) -> String {
    let account = entry.account.as_ref().map(ToString::to_string);
    let shown = match (&entry.token, &entry.key) {
        (Some(token), _) => Some(format!("token {token}")),
        (None, key) => key.clone(),
    };
    match (account, shown) {
        (Some(account), Some(shown)) => format!("{account} ({shown})"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "-".into(),
    }
}

fn time(at_ms: u64) -> String {
    let (year, month, day) = date(at_ms / 1000 / 86_400);
    let s = at_ms / 1000 % 86_400;
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

/// The fingerprint itself, or that of the key in a file.
fn fingerprint(text: &str) -> Result<String, Failure> {
    if text.starts_with("SHA256:") {
        return Ok(text.to_owned());
    }
    let line = public_line(Path::new(text))?;
    let key = PublicKey::from_openssh(&line).map_err(|e| {
        Failure::usage(format!("{text} is no key: {e}"), "`kennel account ls` shows fingerprints")
    })?;
    Ok(key.fingerprint(HashAlg::Sha256).to_string())
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A comment is whatever somebody has typed.
fn safe(text: &str) -> String {
    SafeLines::new(false).push(text.as_bytes()).join("\n") + "\n"
}

fn path(name: &AccountName) -> String {
    format!("{PATH}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_who_by_what_and_what_came_of_it() {
        let entry = AuditEntry {
            at_ms: 1_700_000_000_000,
            account: Some("ada".parse().unwrap()),
            key: None,
            token: Some("ci".parse().unwrap()),
            from: "192.0.2.1".into(),
            act: "change-env".into(),
            tenant: Some("blog".parse().unwrap()),
            detail: "set A\u{1b}[2J".into(),
            result: "done".into(),
        };
        let text = entries(std::slice::from_ref(&entry));
        assert!(
            text.contains("2023-11-14 22:13:20  ada (token ci)  192.0.2.1  change-env  blog    done    set A"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
        assert_eq!(who(&AuditEntry { account: None, token: None, ..entry }), "-");
    }

    #[test]
    fn who_one_is_is_a_sentence() {
        let mut whoami = Whoami {
            by: "ada".into(),
            account: Some("ada".parse().unwrap()),
            role: Role::Deployer,
            tenants: Some(vec!["blog".parse().unwrap(), "shop".parse().unwrap()]),
            token: Some("ci".parse().unwrap()),
        };
        assert_eq!(as_whom(&whoami), "ada: a deployer of blog, shop, by the token ci");
        whoami = Whoami { role: Role::Operator, tenants: None, token: None, ..whoami };
        assert_eq!(as_whom(&whoami), "ada: an operator of every tenant");
    }
}
