# Postrider's chores. `just` lists them; each is an ordinary cargo command.

# List the recipes
default:
    @just --list

# Everything that CI runs, in its order
verify:
    .ci/run

# Format all code
fmt:
    cargo fmt --all

# Check formatting, lints, dependency rules, documents and generated files
lint: arch docs
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo xtask generate --check

# Run all tests on memory, SQLite and PostgreSQL (`just test -- -p postrider-engine claim` for some)
test *arguments:
    cargo xtask test {{arguments}}

# Run Postrider with a demo tenant and a receiver, on embedded SQLite
dev *arguments:
    cargo run --release -- dev {{arguments}}

# Check who depends on whom, and where things lie
arch:
    cargo xtask check-arch

# Check documents: docs/architecture.md against the code, links of all pages, the indexes
docs:
    cargo xtask check-docs

# Write the generated files (docs/openapi.json)
generate:
    cargo xtask generate

# Try every way to a throw-away PostgreSQL that this machine has
postgres-ways:
    cargo xtask postgres-ways

# Real input through the real binary, verified by the official libraries (needs npm and Python; `--help` for parts)
conformance *arguments:
    cargo xtask conformance {{arguments}}

# Kill the binary and its database in the middle of everything, and count what arrives (`--rounds`, `--help`)
faults *arguments:
    cargo xtask faults {{arguments}}

# Rotate keys under load, revoke on one node of two, export and erase a tenant of 200,000 messages (`--help`)
tenancy *arguments:
    cargo xtask tenancy {{arguments}}

# Measure the real binary on both databases, beside its own limits (`--quick`, `--scenario`, `--help`)
bench *arguments:
    cargo xtask bench {{arguments}}

# Check image, manifests, alerts, dashboard, proxies, runbook, with the tools that will read them (`--metrics`, `--help`)
check-deploy *arguments:
    cargo xtask check-deploy {{arguments}}

# Back up and restore on both databases, as docs/runbook.md tells it, and count what is there and what arrives
recovery *arguments:
    cargo xtask recovery {{arguments}}

# Follow README and guide: run every command, compare what it prints (`--page`, `--check`, `--keep`, `--help`)
follow-docs *arguments:
    cargo xtask follow-docs {{arguments}}

# Write what the shipped binary is made of (CycloneDX)
sbom *arguments:
    cargo xtask sbom {{arguments}}

# Check licences, bans, sources and advisories of third-party crates (needs cargo-deny)
deny:
    cargo deny check
