//! What visitors are shown in a program's place: a tenant's maintenance, and operators' own pages. Published with the routes.

use std::time::{SystemTime, UNIX_EPOCH};

use kennel_model::TenantName;
use kennel_model::api::Tenant;
use kennel_model::egress::Network;
use kennel_model::page::Page;
use kennel_model::routing::{MAX_ALLOWED, MAX_RETRY_AFTER_S, Maintenance, NewMaintenance, PageText};

use crate::control::Control;
use crate::error::{Error, Result};

impl Control {
    /// Visitors are told from now on that a tenant is worked on. Its program is left as it is.
    ///
    /// # Errors
    /// [`Error::InvalidMaintenance`], [`Error::InvalidPage`] and others.
    pub(crate) async fn begin_maintenance(&self, name: &TenantName, wish: NewMaintenance) -> Result<Tenant> {
        if !(1..=MAX_RETRY_AFTER_S).contains(&wish.retry_after_s) {
            let longest = MAX_RETRY_AFTER_S / (24 * 3600);
            let why = format!("visitors can be told to come again in 1 second to {longest} days");
            return Err(Error::InvalidMaintenance(why));
        }
        if wish.allow.len() > MAX_ALLOWED {
            return Err(Error::InvalidMaintenance(format!(
                "{MAX_ALLOWED} networks at most can be let through"
            )));
        }
        let network = |text: &String| text.parse::<Network>().map(|network| network.to_string());
        let allow = wish.allow.iter().map(network).collect::<std::result::Result<_, _>>();
        let allow = allow.map_err(|bad| Error::InvalidMaintenance(bad.to_string()))?;
        let page = wish.page.map(page).transpose()?;
        let _claim = self.claim(name, "a change of its maintenance")?;
        let before = self.ready(name).await?.maintenance;
        let since_s = before.map_or_else(now_s, |before| before.told.since_s);
        let told = Maintenance { since_s, retry_after_s: wish.retry_after_s, allow };
        let whose = name.clone();
        self.registry.with(move |store| store.set_maintenance(&whose, Some((&told, page.as_ref())))).await?;
        self.publish_routes().await?;
        self.tenant(name).await
    }

    /// Visitors reach the program again.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn end_maintenance(&self, name: &TenantName) -> Result<Tenant> {
        let _claim = self.claim(name, "a change of its maintenance")?;
        self.ready(name).await?;
        let whose = name.clone();
        self.registry.with(move |store| store.set_maintenance(&whose, None)).await?;
        self.publish_routes().await?;
        self.tenant(name).await
    }

    /// A tenant's page, or with no name the host's.
    ///
    /// # Errors
    /// [`Error::NoPage`] and others.
    pub(crate) async fn page(&self, of: Option<TenantName>) -> Result<PageText> {
        if let Some(name) = &of {
            self.row(name).await?;
        }
        let who = of.as_ref().map_or_else(|| "the host".to_owned(), ToString::to_string);
        let page = self.registry.with(move |store| store.page(of.as_ref())).await?;
        Ok(PageText { html: page.ok_or(Error::NoPage(who))?.into() })
    }

    /// Shows another page, or with none the usual ones again.
    ///
    /// # Errors
    /// [`Error::InvalidPage`], [`Error::TooManyPages`] and others.
    pub(crate) async fn set_page(&self, of: Option<TenantName>, text: Option<PageText>) -> Result<()> {
        let page = text.map(|text| page(text.html)).transpose()?;
        let _claim = of.as_ref().map(|name| self.claim(name, "a change of its page")).transpose()?;
        if let Some(name) = &of {
            self.ready(name).await?;
        }
        self.registry.with(move |store| store.set_page(of.as_ref(), page.as_ref())).await?;
        self.publish_routes().await
    }
}

fn page(text: String) -> Result<Page> {
    Page::new(text).map_err(|bad| Error::InvalidPage(bad.to_string()))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
