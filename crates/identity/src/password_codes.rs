//! A code with which a person sets a password once: for whoever came without one, or forgot it.
//!
//! Invariants: codes are made by the operator of the installation, for no tenant may set the password of a person who may belong to others; a code
//! is kept as a digest, is good once and for a day, and a new one ends those before; a new password ends the person's sessions.

use std::time::Duration;

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_auth::{Minted, MintedKind, system_for};
use steward_base::{Ctx, Error, ErrorKind, RecordId, Result, Secret, TenantId, Timestamp, filter};
use steward_fabric::Scope;
use steward_fabric::mail::{Mail, Message};
use steward_store::{Expect, ListQuery, Model, Record, UnitOfWork};
use steward_web::{Call, Json, Operation, RateClass, Reply, operation};

use crate::{Identity, Person, PersonId, Session};

const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Bytes that a stranger may send.
const BODY: usize = 16 << 10;
const AT_ONCE: usize = 100;

/// A code that was made and is not used.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PasswordCode {
    /// Whose password it sets.
    #[schemars(extend("indexed" = true))]
    pub person_id: PersonId,
    /// Of the code.
    #[schemars(extend("secret" = "hashed"))]
    pub digest: String,
    /// A day after it was made.
    pub expires_at: Timestamp,
}

impl Model for PasswordCode {
    const KIND: &'static str = "password_code";
    const PREFIX: &'static str = "pwc";
}

impl Identity {
    /// A fresh code for the person with this address; earlier ones end. `ctx` is of the operator's tenant. Fails with `not_found`.
    pub async fn password_code(&self, ctx: &Ctx, email: &str) -> Result<(Person, Secret<String>, Timestamp)> {
        let person = self.person_by_email(email).await?.ok_or_else(|| Error::not_found("person"))?;
        let id = RecordId::new(&self.0.clock, &self.0.random);
        let minted = Minted::new(MintedKind::Password, TenantId::OPERATOR, id, &self.0.random);
        let expires_at = self.0.clock.now().plus(LIFETIME);
        let code = PasswordCode { person_id: person.id.into(), digest: minted.digest(), expires_at };
        let before = self.of_person(ctx, PasswordCode::KIND, person.id.into()).await?;
        let unit = before.iter().fold(UnitOfWork::new(), |unit, old| unit.delete(PasswordCode::KIND, old.id, Expect::Any));
        self.0.store.commit(ctx, unit.create(id, &code)).await?;
        Ok((person.decode()?, minted.reveal(), expires_at))
    }

    /// Sets a password with a code, which is used up with it, and ends the person's sessions.
    ///
    /// Fails with `invalid_password_code`, `weak_password`, `sign_in_busy`.
    pub async fn set_password(&self, cause: &Ctx, code: &str, password: Secret<String>) -> Result<()> {
        let control = system_for(cause, TenantId::OPERATOR, "set-password");
        let minted = Minted::parse(code).filter(|minted| minted.kind == MintedKind::Password).ok_or_else(refused)?;
        let record = self.0.store.get(&control, PasswordCode::KIND, minted.record).await?.ok_or_else(refused)?;
        let code: PasswordCode = record.decode()?;
        if !minted.matches(&code.digest) || code.expires_at <= self.0.clock.now() {
            return Err(refused());
        }
        let id = code.person_id.record();
        let person = self.0.store.get(&control, Person::KIND, id).await?.ok_or_else(refused)?.decode::<Person>()?;
        let hash = self.0.passwords.hash(password, &person.email).await?;
        let renew = |person: &mut Person, unit: UnitOfWork| {
            person.password_hash.clone_from(&hash);
            // Whoever has the code was given it: this password is theirs everywhere.
            person.password_for = None;
            // Of two who use it at once, one finds it gone.
            Ok(unit.delete(PasswordCode::KIND, record.id, Expect::Version(record.version)))
        };
        self.0.store.update_with::<Person>(&control, id, renew).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => refused(),
            _ => error,
        })?;
        // A crash before this is done leaves them to end by themselves, within a day.
        for tenant in person.tenants {
            match self.end_sessions(cause, tenant, code.person_id).await {
                // It is being deleted.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                ended => ended?,
            }
        }
        Ok(())
    }

    /// Ends a person's sessions in a tenant.
    pub(crate) async fn end_sessions(&self, cause: &Ctx, tenant: TenantId, person: PersonId) -> Result<()> {
        let ctx = system_for(cause, tenant, "end-sessions");
        loop {
            let sessions = self.of_person(&ctx, Session::KIND, person).await?;
            if sessions.is_empty() {
                return Ok(());
            }
            let end = |unit: UnitOfWork, old: &Record| unit.delete(Session::KIND, old.id, Expect::Any);
            self.0.store.commit(&ctx, sessions.iter().fold(UnitOfWork::new(), end)).await?;
        }
    }

    /// Some records of a kind that say whose they are.
    pub(crate) async fn of_person(&self, ctx: &Ctx, kind: &str, person: PersonId) -> Result<Vec<Record>> {
        let own = filter::Expr::compare("person_id", filter::Op::Eq, filter::Literal::Text(person.to_string()));
        let query = ListQuery { kind: kind.to_owned(), filter: Some(own), limit: AT_ONCE, ..ListQuery::default() };
        Ok(self.0.store.list(ctx, query).await?.records)
    }
}

fn refused() -> Error {
    let detail = "The code is used, expired or mistyped. Ask whoever runs this installation for a fresh one.";
    Error::new(ErrorKind::Forbidden, "invalid_password_code", detail)
}

/// What gives people codes. Cheap to clone.
#[derive(Clone)]
pub struct PasswordCodes {
    identity: Identity,
    mail: Mail,
    /// Where people set their passwords.
    page: String,
}

impl PasswordCodes {
    /// Codes go by mail where that leaves the machine, with a link to the page on which they are good, and are shown to whoever makes them otherwise.
    pub fn new(identity: Identity, mail: Mail, page: String) -> Self {
        Self { identity, mail, page }
    }

    /// `password-codes.create` and `passwords.set`.
    pub fn operations(&self) -> Vec<Operation> {
        vec![
            operation("password-codes.create", Method::POST, "/api/v1/password-codes")
                .needs("platform:write")
                .summary("Make a code with which a person sets a password")
                .description(
                    "For whoever came with an imported tenant, or forgot their password. The code is good once and for a day; earlier ones end. \
                     It goes to the person's address where a mail server is configured; otherwise it is in this answer and nowhere else.",
                )
                .tag("auth")
                .status(StatusCode::CREATED)
                .error(StatusCode::NOT_FOUND, "not_found")
                .handle(self.clone(), make),
            operation("passwords.set", Method::POST, "/auth/password")
                .public()
                .first_party()
                .summary("Set a password with a code that was made for it")
                .description("Whoever is signed in as that person is signed out everywhere.")
                .tag("auth")
                .rate(RateClass::Credential)
                .body_limit(BODY)
                .error(StatusCode::FORBIDDEN, "invalid_password_code")
                .error(StatusCode::SERVICE_UNAVAILABLE, "sign_in_busy")
                .handle(self.identity.clone(), set),
        ]
    }

    async fn send(&self, person: &Person, code: &str) -> Result<()> {
        let text = format!(
            "Hello {},\n\nset your password here, once and within a day:\n\n{}#{code}\n\nIf you did not expect this, you can ignore it.\n",
            person.name, self.page
        );
        let message = Message { to: person.email.parse()?, subject: "Set your password".to_owned(), text, html: None };
        self.mail.send(Scope::from(TenantId::OPERATOR), &message).await.map(drop)
    }
}

/// Who it is for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ForWhom {
    /// Their address.
    #[schemars(email, length(min = 3, max = 254))]
    email: String,
}

/// What became of the code.
#[derive(Debug, Serialize, JsonSchema)]
struct Made {
    /// Whether it was sent to the person's address.
    sent: bool,
    /// The code, when it was not; it is not shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// When it ends by itself.
    expires_at: Timestamp,
}

async fn make(codes: PasswordCodes, call: Call<(), (), Json<ForWhom>>) -> Result<Reply<Json<Made>>> {
    let (person, code, expires_at) = codes.identity.password_code(&call.ctx, &call.body.0.email).await?;
    if codes.mail.kept().is_some() {
        return Ok(Reply::json(Made { sent: false, code: Some(code.expose().clone()), expires_at }));
    }
    codes.send(&person, code.expose()).await?;
    Ok(Reply::json(Made { sent: true, code: None, expires_at }))
}

/// A password to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The code.
    #[schemars(length(min = 1, max = 200))]
    code: String,
    /// 12 to 256 characters.
    password: Secret<String>,
}

async fn set(identity: Identity, call: Call<(), (), Json<NewPassword>>) -> Result<Reply<()>> {
    let Json(NewPassword { code, password }) = call.body;
    identity.set_password(&call.ctx, &code, password).await?;
    Ok(Reply::empty())
}
