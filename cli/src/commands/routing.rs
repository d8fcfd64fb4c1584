//! `kennel domain`, `kennel redirect`, `kennel maintenance` and `kennel pages`.

use std::path::Path;

use kennel_model::page::{BadPage, Page};
use kennel_model::routing::{
    DomainChange, DomainOf, NewDomain, NewMaintenance, NewRedirect, PageText, RETRY_AFTER_S, RedirectChange,
    RedirectOf,
};
use kennel_model::{TenantName, api};

use super::{Context, tenant_path};
use crate::args::{DomainCommand, MaintenanceCommand, PagesCommand, RedirectCommand};
use crate::exit::{Exit, Explain, Failure, FileError};
use crate::ui::table;

pub(super) async fn domain(context: &Context, command: DomainCommand) -> Result<(), Failure> {
    match command {
        DomainCommand::Add { name, domain, strip } => {
            if strip && domain.path().is_empty() {
                return Err(Failure::usage(
                    format!("{domain} has no path that could be taken off"),
                    format!("for example: kennel domain add {name} {domain}/api --strip"),
                ));
            }
            let path = format!("{}/domains", tenant_path(&name));
            let change: DomainChange = context.client()?.post(&path, &NewDomain { domain, strip }).await?;
            context.ui.result(&change, |change| {
                let without =
                    if strip { format!(", without {}", change.domain.domain.path()) } else { String::new() };
                format!("{} leads to {name}{without}\n", change.domain.domain)
            })?;
            note(context, &change.notes);
            Ok(())
        }
        DomainCommand::Ls { name } => {
            let mut all: Vec<DomainOf> = context.client()?.get("/v1/domains").await?;
            all.retain(|of| name.as_ref().is_none_or(|name| of.tenant == *name));
            Ok(context.ui.result(&all, |all| {
                if all.is_empty() {
                    return "no domains; route one: kennel domain add NAME blog.example.com\n".to_owned();
                }
                let row = |of: &DomainOf| {
                    let program =
                        if of.strip { format!("without {}", of.domain.path()) } else { "-".to_owned() };
                    [of.domain.to_string(), of.tenant.to_string(), program]
                };
                table(["DOMAIN", "TENANT", "PATHS"], &all.iter().map(row).collect::<Vec<_>>())
            })?)
        }
        DomainCommand::Rm { name, domain } => {
            let path = format!("{}/domains?domain={domain}", tenant_path(&name));
            let change: DomainChange = context.client()?.remove(&path).await?;
            context
                .ui
                .result(&change, |change| format!("{} no longer leads to {name}\n", change.domain.domain))?;
            note(context, &change.notes);
            Ok(())
        }
    }
}

pub(super) async fn redirect(context: &Context, command: RedirectCommand) -> Result<(), Failure> {
    match command {
        RedirectCommand::Add { name, domain, to, keep_path, permanent, temporary: _ } => {
            let path = format!("{}/redirects", tenant_path(&name));
            let wish = NewRedirect { domain, to, permanent, keep_path };
            let change: RedirectChange = context.client()?.post(&path, &wish).await?;
            context.ui.result(&change, |change| format!("{}\n", words(&change.redirect)))?;
            note(context, &change.notes);
            Ok(())
        }
        RedirectCommand::Ls { name } => {
            let mut all: Vec<RedirectOf> = context.client()?.get("/v1/redirects").await?;
            all.retain(|of| name.as_ref().is_none_or(|name| of.tenant == *name));
            Ok(context.ui.result(&all, |all| {
                if all.is_empty() {
                    return "no redirects; for example: kennel redirect add NAME www.example.com https://example.com/ --keep-path\n".to_owned();
                }
                let row = |of: &RedirectOf| {
                    let path = if of.keep_path { "kept" } else { "-" };
                    let kind = if of.permanent { "permanent" } else { "temporary" };
                    let [domain, tenant, to] = [of.domain.to_string(), of.tenant.to_string(), of.to.to_string()];
                    [domain, tenant, kind.to_owned(), path.to_owned(), to]
                };
                table(["DOMAIN", "TENANT", "KIND", "PATH", "TO"], &all.iter().map(row).collect::<Vec<_>>())
            })?)
        }
        RedirectCommand::Rm { name, domain } => {
            let path = format!("{}/redirects?domain={domain}", tenant_path(&name));
            let change: RedirectChange = context.client()?.remove(&path).await?;
            context
                .ui
                .result(&change, |change| format!("{} is sent nowhere any more\n", change.redirect.domain))?;
            note(context, &change.notes);
            Ok(())
        }
    }
}

fn words(redirect: &RedirectOf) -> String {
    let RedirectOf { domain, to, permanent, keep_path, .. } = redirect;
    let status = if *permanent { "308, which browsers keep" } else { "307" };
    let path = if *keep_path { ", with what follows it" } else { "" };
    format!("{domain} is sent to {to}{path} ({status})")
}

fn note(context: &Context, notes: &[String]) {
    for text in notes {
        context.ui.note(text);
    }
}

pub(super) async fn maintenance(context: &Context, command: MaintenanceCommand) -> Result<(), Failure> {
    match command {
        MaintenanceCommand::On { name, page, retry_after, allow } => {
            let retry_after_s = match retry_after {
                None => RETRY_AFTER_S,
                Some(after) => after.0.ok_or_else(|| {
                    Failure::usage("`--retry-after` takes a time", "for example: --retry-after 10m".to_owned())
                })?,
            };
            let page = page.map(|file| read(&file)).transpose()?;
            let allow = allow.iter().map(ToString::to_string).collect();
            let path = format!("{}/maintenance", tenant_path(&name));
            let wish = NewMaintenance { retry_after_s, allow, page };
            let tenant: api::Tenant = context.client()?.put(&path, &wish).await?;
            context.ui.result(&tenant, |_| {
                format!("visitors of {name} are told that it is being worked on\nback: kennel maintenance off {name}\n")
            })?;
            if !wish.allow.is_empty() {
                context.ui.note(&format!("who comes from {} passes", wish.allow.join(", ")));
            }
            Ok(())
        }
        MaintenanceCommand::Off { name } => {
            let path = format!("{}/maintenance", tenant_path(&name));
            let tenant: api::Tenant = context.client()?.remove(&path).await?;
            Ok(context.ui.result(&tenant, |_| format!("visitors reach {name} again\n"))?)
        }
    }
}

pub(super) async fn pages(context: &Context, command: PagesCommand) -> Result<(), Failure> {
    match command {
        PagesCommand::Set { name, file } => {
            set(context, Some(&name), &file).await?;
            context
                .ui
                .note(&format!("visitors of {name} see {} where the proxy answers for it", file.display()));
        }
        PagesCommand::Default { file } => {
            set(context, None, &file).await?;
            context.ui.note(&format!("{} is shown for whatever has no page of its own", file.display()));
        }
        PagesCommand::Show { name } => {
            let page: PageText = context.client()?.get(&path(name.as_ref())).await?;
            context.ui.result(&page, |page| page.html.clone())?;
        }
        PagesCommand::Rm { name } => {
            context.client()?.delete(&path(name.as_ref())).await?;
            let whose =
                name.map_or_else(|| "whatever has no page of its own".to_owned(), |name| name.to_string());
            context.ui.note(&format!("the usual pages are shown for {whose}"));
        }
    }
    Ok(())
}

async fn set(context: &Context, name: Option<&TenantName>, file: &Path) -> Result<(), Failure> {
    let html = read(file)?;
    context.client()?.put_only(&path(name), &PageText { html }).await?;
    Ok(())
}

fn path(name: Option<&TenantName>) -> String {
    name.map_or_else(|| "/v1/page".to_owned(), |name| format!("{}/page", tenant_path(name)))
}

/// What can be told wrong here is told here.
fn read(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(FileError::at("read", file))?;
    Ok(Page::new(text)?.into())
}

impl Explain for BadPage {
    fn hint(&self) -> Option<String> {
        Some("`kennel pages set --help` says what a page can hold".to_owned())
    }

    fn code(&self) -> String {
        "invalid-page".to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}
