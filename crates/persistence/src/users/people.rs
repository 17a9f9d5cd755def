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
    codec::timestamp,
    endpoints::EndpointSecrets,
    error::corrupt,
    stored::{Stored, read_version},
    unit_of_work::SqlUnitOfWork,
};

/// A row of `users`. Not `Debug`: it holds an address and a password's hash.
#[derive(Clone, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
pub(crate) struct Model {
    id: Uuid,
    email: String,
    name: String,
    password_hash: String,
    created_at: i64,
    version: i32,
}
