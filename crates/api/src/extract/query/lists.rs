use super::list_query;

list_query! {
    /// Which entries of the audit log, and which part of them.
    AuditQuery {
        /// By whom: the id of a person, key or portal token, or the name of an operator.
        #[param(max_length = 256, example = "usr_01jd8x3v9ce2sbm4w8f1q7k5zt")]
        actor,
        /// What was asked.
        #[param(max_length = 256, example = "api_key.mint")]
        action,
        /// To what: an id or name.
        #[param(max_length = 256, example = "key_01jd8x3v9ce2sbm4w8f1q7k5zt")]
        target,
        /// `done` or `denied`.
        #[param(example = "denied")]
        outcome,
        /// Not before this time (RFC 3339).
        #[param(format = "date-time")]
        from,
        /// Before this time (RFC 3339).
        #[param(format = "date-time")]
        to,
    }
}

list_query! {
    /// Which deliveries, and which part of them.
    DeliveryQuery {
        /// Of this application: its id, or the uid that you gave it. Required, unless `message` is given, or `status` is
        /// `pending`, `failed` or `cancelled`.
        #[param(max_length = 128, example = "customer-42")]
        application,
        /// To this endpoint of the application: its id, or the uid that you gave it.
        #[param(max_length = 128, example = "billing")]
        endpoint,
        /// Of this message.
        #[param(example = "msg_01jd8x3v9ce2sbm4w8f1q7k5zt")]
        message,
        /// `pending`, `delivered`, `failed` or `cancelled`. Without `message`, what is `pending` and was never attempted is
        /// not found.
        #[param(example = "failed")]
        status,
        /// Of messages accepted at this time or later (RFC 3339).
        #[param(format = "date-time")]
        from,
        /// Of messages accepted before this time (RFC 3339).
        #[param(format = "date-time")]
        to,
    }
}

list_query! {
    /// Which messages, and which part of them.
    MessageQuery {
        /// Of that event type.
        #[param(max_length = 128, example = "invoice.paid")]
        event_type,
        /// On that channel.
        #[param(max_length = 128, example = "eu")]
        channel,
        /// With that id of your own.
        #[param(max_length = 256)]
        event_id,
        /// Accepted not before this time (RFC 3339).
        #[param(format = "date-time")]
        from,
        /// Accepted before this time (RFC 3339).
        #[param(format = "date-time")]
        to,
        /// `scheduled`, `cancelled` or `accepted`.
        #[param(example = "scheduled")]
        status,
    }
}

list_query! {
    /// Which event types, and which part of them.
    EventTypeQuery {
        /// Whether archived ones are listed too.
        #[param(value_type = Option<bool>, default = false)]
        include_archived,
    }
}

list_query! {
    /// Which endpoints of an application, and which part of them.
    EndpointsQuery {
        /// `enabled` or `disabled`.
        #[param(example = "enabled")]
        status,
        /// Those that want to hear of this event type, on whatever channel.
        #[param(max_length = 128, example = "invoice.paid")]
        event_type,
    }
}
