//! `kennel token`: what programs show that cannot sign in.

use kennel_model::TokenName;
use kennel_model::token::{NewToken, Token, TokenMade};

use super::Context;
use crate::args::TokenCommand;
use crate::exit::Failure;
use crate::ui::{ago, table};

const PATH: &str = "/v1/tokens";

pub(super) async fn token(context: &Context, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { name, scope } => create(context, &NewToken { name, scope: scope.into() }).await,
        TokenCommand::Ls => ls(context).await,
        TokenCommand::Rm { name } => rm(context, &name).await,
    }
}

/// The secret alone goes to standard output, so that it can go straight to a file.
async fn create(context: &Context, wish: &NewToken) -> Result<(), Failure> {
    let made: TokenMade = context.client()?.post(PATH, wish).await?;
    context.ui.result(&made, |made| made.secret.clone())?;
    let Token { name, scope, .. } = &made.token;
    context.ui.note(&format!("token {name} may {}; its secret is not shown again", scope.may()));
    Ok(())
}

async fn ls(context: &Context) -> Result<(), Failure> {
    let tokens: Vec<Token> = context.client()?.get(PATH).await?;
    Ok(context.ui.result(&tokens, |tokens| {
        if tokens.is_empty() {
            return "no tokens; make one: kennel token create prometheus\n".into();
        }
        let rows: Vec<[String; 4]> = tokens
            .iter()
            .map(|t| [t.name.to_string(), t.scope.as_str().into(), ago(t.created_at_s), t.by.clone()])
            .collect();
        table(["NAME", "SCOPE", "MADE", "BY"], &rows)
    })?)
}

async fn rm(context: &Context, name: &TokenName) -> Result<(), Failure> {
    context.client()?.delete(&format!("{PATH}/{name}")).await?;
    context.ui.note(&format!("token {name} is worth nothing any more"));
    Ok(())
}
