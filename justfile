# The scripts under short names: `just test --lib`. Each recipe is the script itself; see CONTRIBUTING.md.

# Lists the recipes.
default:
    @just --list

# Everything that a change must pass.
ci:
    .ci/run

# All tests, or those that the arguments choose.
test *arguments:
    scripts/test {{ arguments }}

# Other people's clients against a running server.
test-clients *arguments:
    scripts/test-clients {{ arguments }}

# An upgrade under load, from the last release or from another revision.
test-upgrade *arguments:
    scripts/test-upgrade {{ arguments }}

# The Helm chart.
test-helm *arguments:
    scripts/test-helm {{ arguments }}

# What operators see: metrics, alerts, traces.
test-observability *arguments:
    scripts/test-observability {{ arguments }}

# The image, built and tried.
image *arguments:
    scripts/image {{ arguments }}

# A server for development, with what it needs.
dev *arguments:
    scripts/dev {{ arguments }}

# The load driver.
bench *arguments:
    scripts/bench {{ arguments }}

# The Apache Kafka of the tests.
kafka *arguments:
    scripts/kafka {{ arguments }}
