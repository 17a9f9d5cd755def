#!/usr/bin/env bash
# Makes what docker-compose.yml must not contain: passwords, the master key, the operator's token, the receiver's
# secret. Run it once; it touches nothing that is there already. Everything lies in deploy/compose/secrets and .env,
# which version control and the image's build context leave out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

random() { openssl rand -hex "$1"; }

# Only we may enter. The files themselves are readable, because Compose mounts them as they are and the account in the
# container is another one.
mkdir -p secrets
chmod 0700 secrets
umask 0022

once() { # file, content
    if [ ! -e "secrets/$1" ]; then
        printf '%s\n' "$2" >"secrets/$1"
        echo "made deploy/compose/secrets/$1"
    fi
}

once postgres_password "$(random 24)"
once postrider_password "$(random 24)"
once grafana_password "$(random 12)"
once operator_token "pro_$(random 32)"

superuser="$(cat secrets/postgres_password)"
login="$(cat secrets/postrider_password)"
hash="$(printf '%s' "$(cat secrets/operator_token)" | openssl dgst -sha256 -r | cut -d' ' -f1)"

# The nodes': a login that has no rights of its own.
once postrider.toml "[database]
url = \"postgres://postrider:${login}@postgres:5432/postrider\"

[security]
# Keep a copy apart from the database: without it all stored secrets are lost.
master_key = \"$(random 32)\"
operator_token_hashes = [\"${hash}\"]"

# The migration's: the superuser besides.
once migrate.toml "[database]
url = \"postgres://postrider:${login}@postgres:5432/postrider\"
admin_url = \"postgres://postgres:${superuser}@postgres:5432/postrider\"

[security]
$(grep '^master_key' secrets/postrider.toml)"

# What the receiver verifies with; Compose reads it from .env beside docker-compose.yml.
env=../../.env
if ! grep -qs '^POSTRIDER_RECEIVE_SECRET=' "$env"; then
    (umask 0077 && printf 'POSTRIDER_RECEIVE_SECRET=whsec_%s\n' "$(openssl rand -base64 32)" >>"$env")
    echo "made POSTRIDER_RECEIVE_SECRET in .env"
fi
echo "ready: docker compose up --build --detach"
