//! Fjord & Fern, a shop that sells plants: the sample events of `dev`.

use serde_json::{Value, json};

/// An event type of the shop, with what it means.
pub(crate) const EVENT_TYPES: [(&str, &str); 8] = [
    ("customer.created", "Somebody made an account."),
    ("cart.abandoned", "A cart was left alone for an hour."),
    ("order.created", "An order was placed."),
    ("payment.succeeded", "The order was paid."),
    ("inventory.low", "A product is nearly sold out."),
    ("order.shipped", "The parcel left the nursery."),
    ("order.delivered", "The parcel arrived."),
    ("refund.issued", "Money went back."),
];

/// One event of each type, as a believable day would bring them.
pub(crate) fn sample_events() -> Vec<(&'static str, Value)> {
    let customer = json!({ "id": "cus_8241", "name": "Ingrid Solheim", "country": "NO", "locale": "nb-NO" });
    let monstera = json!({ "sku": "MON-DEL-17", "name": "Monstera deliciosa, 17 cm pot", "quantity": 1, "unit_price": 34900 });
    let fern =
        json!({ "sku": "NEP-EXA-12", "name": "Boston fern, 12 cm pot", "quantity": 2, "unit_price": 12900 });
    let data: [Value; EVENT_TYPES.len()] = [
        json!({ "customer": customer, "marketing_opt_in": true }),
        json!({ "cart": "crt_55120", "customer": "cus_8242", "lines": [fern], "abandoned_after_s": 3600 }),
        json!({ "order": "ord_10482", "customer": customer, "lines": [monstera, fern], "total": 60700, "currency": "NOK" }),
        json!({ "payment": "pay_77310", "order": "ord_10482", "method": "card", "amount": 60700, "currency": "NOK" }),
        json!({ "sku": "MON-DEL-17", "left": 3, "reorder_at": 5, "warehouse": "Bergen" }),
        json!({ "order": "ord_10482", "carrier": "Posten", "tracking": "370438101234567891", "parcels": 1 }),
        json!({ "order": "ord_10482", "signed_by": "I. Solheim", "note": "Left with the neighbour: «Blåbærstien 4»" }),
        json!({ "refund": "ref_3109", "order": "ord_10451", "amount": 12900, "currency": "NOK", "reason": "wilted 🥀" }),
    ];
    EVENT_TYPES
        .iter()
        .zip(data)
        .map(|((name, _), data)| (*name, json!({ "type": name, "data": data })))
        .collect()
}
