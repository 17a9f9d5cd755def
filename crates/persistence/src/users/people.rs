use postrider_application::{
    access::OperatorScope,
    ports::{StoreError, UserRepository},
};
use postrider_domain::{
    Aggregate as _, Name, UserId,
    events::DomainEvent,
    users::{Email, PasswordHash, User, UserEvent, UserState},
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, entity::prelude::*};

use crate::{
    codec::{Hidden, timestamp},
    endpoints::EndpointSecrets,
    error::corrupt,
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

/// The person of a row.
pub(super) fn read(row: Model) -> Result<User, StoreError> {
    let state = UserState {
        id: UserId::from_uuid(row.id),
        email: Email::parse(&row.email.0).map_err(|why| corrupt("e-mail address", why))?,
        name: Name::parse(&row.name).map_err(|why| corrupt("name of a person", why))?,
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
        Condition::all().add(Column::Id.eq(self.state().id.as_uuid()))
    }

    fn read(row: Model, _: &EndpointSecrets) -> Result<Self, StoreError> {
        read(row)
    }

    fn event(&self, event: UserEvent) -> DomainEvent {
        DomainEvent::User(self.state().id, event)
    }
}

impl UserRepository for SqlUnitOfWork {
    async fn find_user(&mut self, _: &OperatorScope, email: &Email) -> Result<Option<User>, StoreError> {
        self.find_row(of_email(email)).await
    }

    async fn save_user(&mut self, _: &OperatorScope, user: &mut User) -> Result<(), StoreError> {
        self.save_row(None, user).await
    }
}
