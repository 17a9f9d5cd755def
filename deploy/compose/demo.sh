#!/usr/bin/env bash
# Through the proxy: a tenant, an application with an endpoint at the receiver, and ten messages. Needs curl and jq.
#
#   deploy/compose/demo.sh [number of messages]
#
# POSTRIDER_URL names another API, POSTRIDER_RECEIVER another receiver, as the nodes see it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

api="${POSTRIDER_URL:-http://127.0.0.1:8080}"
receiver="${POSTRIDER_RECEIVER:-http://receiver:9000/webhooks}"
operator="${POSTRIDER_OPERATOR_TOKEN:-$(cat secrets/operator_token)}"
secret="${POSTRIDER_RECEIVE_SECRET:-$(sed -n 's/^POSTRIDER_RECEIVE_SECRET=//p' ../../.env)}"
messages="${1:-10}"

# Secrets go by standard input: a command line is visible to all.
ask() { # method, path, token, body
    printf 'header = "authorization: Bearer %s"\n' "$3" |
        curl --silent --show-error --fail-with-body --config - \
            --request "$1" --header 'content-type: application/json' --data @<(printf '%s' "$4") "$api$2"
}

email="demo-$(openssl rand -hex 4)@acme.example"
password="$(openssl rand -hex 16)"
ask POST /v1/operator/tenants "$operator" "$(jq -n --arg email "$email" --arg password "$password" \
    '{name: "Acme", owner: {email: $email, name: "Ada", password: $password}}')" >/dev/null
token="$(jq -n --arg email "$email" --arg password "$password" '{email: $email, password: $password}' |
    curl --silent --show-error --fail-with-body --header 'content-type: application/json' --data @- "$api/v1/auth/login" |
    jq --raw-output .access_token)"
application="$(ask POST /v1/applications "$token" '{"name": "Customer"}' | jq --raw-output .id)"
ask POST "/v1/applications/$application/endpoints" "$token" "$(jq -n --arg url "$receiver" --arg secret "$secret" \
    '{url: $url, secret: $secret, retry_policy: {schedule_seconds: [1, 5, 30]}}')" >/dev/null

for number in $(seq "$messages"); do
    message="$(ask POST "/v1/applications/$application/messages" "$token" \
        "$(jq -n --argjson number "$number" '{event_type: "invoice.paid", payload: {invoice: $number}}')" |
        jq --raw-output .id)"
done
echo "$messages messages of $application were accepted; waiting for the last, $message"

for _ in $(seq 60); do
    status="$(ask GET "/v1/applications/$application/messages/$message/deliveries" "$token" '' |
        jq --raw-output '.data[0].status // "none"')"
    if [ "$status" = delivered ]; then
        echo "delivered. Look at the traces in Jaeger, and at Grafana; log in with $email"
        exit 0
    fi
    sleep 1
done
echo "not delivered within a minute: $status" >&2
exit 1
