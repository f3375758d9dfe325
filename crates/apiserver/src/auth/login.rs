//! From what a connection shows (a client certificate, a bearer token) to a user.

use super::bootstrap_token::{bootstrap_user, constant_time_eq};
use super::token::Tokens;
use super::user::{AUTHENTICATED, User};
use crate::db::Db;
use cox_env::Env;

/// Tokens that were handed in at start, with their users.
pub type StaticTokens = Vec<(String, User)>;

/// The bearer token is no good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginError(pub String);

/// Says who has a token.
pub struct Login {
    env: Env,
    db: Db,
    fixed: StaticTokens,
}

impl Login {
    /// With tokens that were handed in at start.
    pub fn new(env: Env, db: Db, fixed: StaticTokens) -> Login {
        Login { env, db, fixed }
    }

    /// Who has a bearer token.
    ///
    /// # Errors
    /// Where no authenticator knows it: 401 for the request.
    pub fn bearer(&self, tokens: &Tokens, token: &str) -> Result<User, LoginError> {
        if let Some((_, user)) =
            self.fixed.iter().find(|(known, _)| constant_time_eq(known.as_bytes(), token.as_bytes()))
        {
            let mut user = user.clone();
            if !user.is_in(AUTHENTICATED) {
                user.groups.push(AUTHENTICATED.to_owned());
            }
            return Ok(user);
        }
        match tokens.verify(token, None) {
            Ok(Some(verified)) => return Ok(verified.user),
            Ok(None) => {}
            Err(why) => return Err(LoginError(why)),
        }
        bootstrap_user(&self.db, &self.env, token).ok_or_else(|| LoginError("invalid bearer token".into()))
    }
}
