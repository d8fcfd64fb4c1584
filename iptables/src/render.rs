//! Renders both rule sets.

/// The sealed rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// For `iptables-restore`.
    pub v4: String,
    /// For `ip6tables-restore`.
    pub v6: String,
}

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// No slot, or more than there can be.
    #[error("a pool of {0} slots: there can be 1 to {max}", max = kennel_model::slot::MAX_SLOTS)]
    Pool(u16),
}

/// Renders the rules for a pool of `slots`.
///
/// # Errors
/// [`RenderError`].
pub fn render(slots: u16) -> Result<Rules, RenderError> {
    Err(RenderError::Pool(slots))
}
