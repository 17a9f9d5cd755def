use std::sync::Arc;

use postrider_application::{
    access::{
        ApplicationScope, AsOperator, AsPerson, Caller, OnApplication, OnTenant, OperatorScope, PersonScope,
        Principal, PrincipalId, TenantScope,
    },
    audit::Record,
    ports::{
        ApplicationRepository as _, Clock, Ids as _, Repository, Store, StoreError, UnitOfWork as _,
        UserRepository as _,
    },
};
use postrider_domain::{
    Aggregate, ApplicationId, Description, EndpointId, MembershipId, Metadata, Name, SessionId, TenantId,
    Timestamp, Uid, UserId, WorkId,
    access::{Authority, Grant, Permission, Role},
    applications::Application,
    endpoints::{CustomHeaders, Endpoint, EndpointUrl, Filter, NewEndpoint, SigningSecret},
    tenants::{Tenant, TenantSettings, TenantStatus},
    users::{Email, Membership, PasswordHash, User},
};
use uuid::Uuid;

use super::{Harness, Ports, door::Door};
use crate::memory::SequentialIds;

/// The transaction of a harness's store.
pub(super) type Tx<H> = <<H as Harness>::Store as Store>::Tx;

/// A tenant with its owner, and the owner as caller.
#[derive(Debug, Clone)]
pub struct Tenancy {
    /// The tenant.
    pub id: TenantId,
    /// The scope that the owner was granted.
    pub scope: TenantScope,
    /// The owner, logged in.
    pub caller: Caller,
    /// The owner.
    pub owner: UserId,
    /// The owner's membership.
    pub membership: MembershipId,
    /// The owner's address.
    pub email: Email,
}

/// An application of a tenant.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The application.
    pub id: ApplicationId,
    /// The scope that the owner was granted on it.
    pub scope: ApplicationScope,
}

/// Given-steps of the cases, on one harness.
pub struct Fixture<'h, H: Harness> {
    harness: &'h H,
    ports: Ports,
    clock: Arc<dyn Clock>,
    ids: Arc<SequentialIds>,
    door: Door,
}

impl<'h, H: Harness> Fixture<'h, H> {
    /// Steps on `harness`.
    pub fn new(harness: &'h H) -> Self {
        let (ports, clock) = (harness.ports(), harness.clock());
        let ids = Arc::new(SequentialIds::new(clock.clone()));
        Self {
            harness,
            door: Door::new(
                ports.directory.clone(),
                clock.clone(),
                ids.clone(),
                ports.answers.clone(),
            ),
            ports,
            ids,
            clock,
        }
    }

    /// The store.
    pub fn store(&self) -> &'h H::Store {
        self.harness.store()
    }

    /// The harness.
    pub fn harness(&self) -> &'h H {
        self.harness
    }

    /// The ports that are chosen at run time.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// A new id.
    pub fn uuid(&self) -> Uuid {
        self.ids.next()
    }

    /// A new id of a work row.
    pub fn work_id(&self) -> WorkId {
        WorkId::from_uuid(self.uuid())
    }

    /// Now, near enough.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The operator's scope. What it did enters the audit log once.
    pub async fn operator(&self) -> OperatorScope {
        self.door.enter(&Caller::operator("case"), AsOperator).await
    }

    /// The scope that an owner of `tenant` is granted, stored or not.
    pub async fn scope_of(&self, caller: &Caller) -> TenantScope {
        self.door.enter(caller, OnTenant(Permission::TenantRead)).await
    }

    /// The scope of a person in their own affairs, in that tenant.
    pub async fn person_in(&self, tenant: TenantId, user: UserId) -> PersonScope {
        self.door.enter(&self.owner_of(tenant, user), AsPerson).await
    }

    /// Somebody who owns `tenant`.
    pub fn owner_of(&self, tenant: TenantId, owner: UserId) -> Caller {
        Caller::principal(Principal {
            id: PrincipalId::User(owner, SessionId::from_uuid(self.uuid())),
            tenant,
            tenant_status: TenantStatus::Active,
            tenant_settings: TenantSettings::default(),
            authority: Authority::Grants(vec![Grant::tenant(Role::Owner)]),
            expires_at: None,
        })
    }

    /// A new tenant with its owner, stored.
    pub async fn tenant(&self, name: &str) -> Tenancy {
        let (id, owner) = (TenantId::from_uuid(self.uuid()), UserId::from_uuid(self.uuid()));
        let caller = self.owner_of(id, owner);
        let (operator, scope) = (self.operator().await, self.scope_of(&caller).await);
        let email = Email::parse(&format!("owner-of-{name}@example.com")).unwrap();
        let mut user = self.user(owner, &email);
        let mut tenant = Tenant::create(id, Name::parse(name).unwrap(), self.now());
        let grants = vec![Grant::tenant(Role::Owner)];
        let place = MembershipId::from_uuid(self.uuid());
        let mut membership = Membership::join(place, id, owner, grants, self.now());

        let mut tx = self.store().begin_as_operator(&operator).await.unwrap();
        tx.save_user(&operator, &mut user).await.unwrap();
        tx.save(&scope, &mut tenant).await.unwrap();
        tx.save(&scope, &mut membership).await.unwrap();
        tx.commit(Record::InHistory).await.unwrap();
        Tenancy {
            id,
            scope,
            caller,
            owner,
            membership: place,
            email,
        }
    }

    /// The committed aggregate of that key.
    pub async fn find<A: Aggregate>(
        &self,
        scope: &TenantScope,
        key: &<Tx<H> as Repository<A>>::Key,
    ) -> Option<A>
    where
        Tx<H>: Repository<A>,
    {
        let mut tx = self.store().begin(scope).await.unwrap();
        Repository::<A>::find(&mut tx, scope, key).await.unwrap()
    }

    /// Saves an aggregate in a transaction of its own.
    pub async fn save<A: Aggregate>(&self, scope: &TenantScope, aggregate: &mut A) -> Result<(), StoreError>
    where
        Tx<H>: Repository<A>,
    {
        let mut tx = self.store().begin(scope).await?;
        Repository::<A>::save(&mut tx, scope, aggregate).await?;
        tx.commit(Record::InHistory).await
    }

    /// Deletes an aggregate in a transaction of its own.
    pub async fn delete<A: Aggregate>(&self, scope: &TenantScope, aggregate: A) -> Result<(), StoreError>
    where
        Tx<H>: Repository<A>,
    {
        let mut tx = self.store().begin(scope).await?;
        Repository::<A>::delete(&mut tx, scope, aggregate).await?;
        tx.commit(Record::InHistory).await
    }

    /// A new person, not stored.
    pub fn user(&self, id: UserId, email: &Email) -> User {
        let password = PasswordHash::from_phc("$test$not-a-hash".to_owned());
        User::register(
            id,
            email.clone(),
            Name::parse("Ada").unwrap(),
            password,
            self.now(),
        )
    }

    /// A new application with a uid, not stored.
    pub fn new_application(&self, tenant: &Tenancy, uid: Option<&str>) -> Application {
        Application::create(
            ApplicationId::from_uuid(self.uuid()),
            tenant.id,
            uid.map(|uid| Uid::parse(uid).unwrap()),
            Name::parse("Customer").unwrap(),
            Metadata::default(),
            self.now(),
        )
    }

    /// A new application without a uid, stored.
    pub async fn application(&self, tenant: &Tenancy) -> Customer {
        self.application_named(tenant, None).await
    }

    /// A new application, stored.
    pub async fn application_named(&self, tenant: &Tenancy, uid: Option<&str>) -> Customer {
        let mut application = self.new_application(tenant, uid);
        self.save(&tenant.scope, &mut application).await.unwrap();
        self.customer(tenant, application.state().id).await
    }

    /// The owner's scope on a stored application.
    pub async fn customer(&self, tenant: &Tenancy, id: ApplicationId) -> Customer {
        let rule = OnApplication(id.into(), Permission::MessagesPublish);
        let scope = self.door.enter(&tenant.caller, rule).await;
        Customer { id, scope }
    }

    /// A new endpoint with nothing but what it must have, not stored.
    pub fn new_endpoint(&self, tenant: &Tenancy, application: ApplicationId, uid: Option<&str>) -> Endpoint {
        let new = NewEndpoint {
            uid: uid.map(|uid| Uid::parse(uid).unwrap()),
            url: EndpointUrl::parse("https://example.com/hooks").unwrap(),
            description: Description::default(),
            filter: Filter::default(),
            secret: SigningSecret::from_bytes(vec![7; 24]).unwrap().into(),
            headers: CustomHeaders::default(),
            retry_schedule: None,
            timeout: None,
            metadata: Metadata::default(),
        };
        Endpoint::create(
            EndpointId::from_uuid(self.uuid()),
            tenant.id,
            application,
            new,
            self.now(),
        )
    }

    /// A new endpoint, stored.
    pub async fn endpoint(&self, tenant: &Tenancy, customer: &Customer) -> EndpointId {
        let mut endpoint = self.new_endpoint(tenant, customer.id, None);
        self.save(&tenant.scope, &mut endpoint).await.unwrap();
        endpoint.state().id
    }

    /// Says that the application's endpoints changed.
    pub async fn endpoints_changed(&self, tenant: &Tenancy, customer: &Customer) {
        let mut tx = self.store().begin(&tenant.scope).await.unwrap();
        tx.endpoints_changed(&tenant.scope, customer.id).await.unwrap();
        tx.commit(Record::InHistory).await.unwrap();
    }
}
