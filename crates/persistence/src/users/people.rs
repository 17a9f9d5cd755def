use postrider_application::{
    access::OperatorScope,
    ports::{PasswordReset, StoreError, UserRepository},
};
use postrider_domain::{
    Aggregate as _, UserId,
    events::DomainEvent,
    users::{Email, PasswordHash, User, UserEvent, UserState},
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait as _, entity::prelude::*};

use crate::{
    codec::{Hidden, HiddenBytes, read_email, read_name, timestamp},
    endpoints::EndpointSecrets,
    error::OrStoreError as _,
    stored::{Stored, read_version},
    unit_of_work::SqlUnitOfWork,
};

/// A row of `users`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    email: Hidden,
    name: String,
    password_hash: Hidden,
    created_at: i64,
    version: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Names the row of the person of that address.
pub(super) fn of_email(email: &Email) -> Condition {
    Condition::all().add(Column::Email.eq(email.as_str()))
}

/// Names the row of that person.
pub(super) fn of_id(id: UserId) -> Condition {
    Condition::all().add(Column::Id.eq(id.as_uuid()))
}

/// The person of a row.
pub(super) fn read(row: Model) -> Result<User, StoreError> {
    let state = UserState {
        id: UserId::from_uuid(row.id),
        email: read_email(&row.email)?,
        name: read_name(&row.name)?,
        password: PasswordHash::from_phc(row.password_hash.0),
        created_at: timestamp(row.created_at),
    };
    Ok(User::restore(state, read_version(row.version)?))
}

impl Stored for User {
    type Table = Entity;
    type Row = ActiveModel;

    fn row(&self, _: &EndpointSecrets, version: i32) -> Result<ActiveModel, StoreError> {
        let state = self.state();
        Ok(ActiveModel {
            id: Set(state.id.as_uuid()),
            email: Set(Hidden(state.email.as_str().to_owned())),
            name: Set(state.name.as_str().to_owned()),
            password_hash: Set(Hidden(state.password.as_phc().to_owned())),
            created_at: Set(state.created_at.as_micros()),
            version: Set(version),
        })
    }

    fn own_row(&self) -> Condition {
        of_id(self.state().id)
    }

    fn read(row: Model, _: &EndpointSecrets) -> Result<Self, StoreError> {
        read(row)
    }

    fn event(&self, event: UserEvent) -> DomainEvent {
        DomainEvent::User(self.state().id, event)
    }
}

/// There is one a person: the newest.
const PUT_RESET: &str = "
INSERT INTO password_resets (user_id, id, token_hash, expires_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id) DO UPDATE SET id = excluded.id, token_hash = excluded.token_hash,
    expires_at = excluded.expires_at";

impl UserRepository for SqlUnitOfWork {
    async fn find_user(&mut self, scope: &OperatorScope, email: &Email) -> Result<Option<User>, StoreError> {
        self.operator(scope)?;
        self.find_row(of_email(email)).await
    }

    async fn save_user(&mut self, scope: &OperatorScope, user: &mut User) -> Result<(), StoreError> {
        self.operator(scope)?;
        self.save_row(None, user).await
    }

    async fn put_password_reset(
        &mut self,
        scope: &OperatorScope,
        reset: &PasswordReset,
    ) -> Result<(), StoreError> {
        self.operator(scope)?;
        let put = self.dialect.exactly(
            PUT_RESET,
            [
                reset.user.as_uuid().into(),
                reset.id.as_uuid().into(),
                HiddenBytes::of_hash(&reset.token_hash).into(),
                reset.expires_at.as_micros().into(),
            ],
        );
        self.transaction.execute_raw(put).await.or_store_error()?;
        Ok(())
    }
}
