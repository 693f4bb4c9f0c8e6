#!/usr/bin/env bash
# Exports what the auditor reads (docs/exports.md): bash export.sh FOLDER
# Whoever is logged in to az needs Reader on the subscriptions, and nothing else. It also needs jq, and az's extension
# resource-graph. What cannot be read is missing from the folder: the auditor tells it as a gap, not as a failure.
set -euo pipefail
export AZURE_EXTENSION_USE_DYNAMIC_INSTALL=yes_without_prompt
folder=${1:?usage: export.sh FOLDER}
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# query NAME TEXT: all pages of an answer of Resource Graph, as one.
query() {
  local token="" page=0
  while :; do
    page=$((page + 1))
    az graph query --first 1000 -q "$2" ${token:+--skip-token "$token"} --output json > "$work/$1-$page.json"
    token=$(jq -r '.skip_token // empty' "$work/$1-$page.json")
    [ -n "$token" ] || break
  done
  jq -s '{data: map(.data) | add}' "$work/$1"-*.json > "$folder/$1.json"
}

# save NAME COMMAND...: what a command prints; nothing where it fails.
save() {
  local name=$1
  shift
  if "$@" --output json > "$work/answer.json"; then
    mv "$work/answer.json" "$folder/$name.json"
  else
    echo "not exported: $name" >&2
  fi
}

query virtual-machines "resources | where type =~ 'microsoft.compute/virtualmachines' | order by id asc"
query scale-sets "resources | where type =~ 'microsoft.compute/virtualmachinescalesets' | order by id asc"
query vaults "resources | where type =~ 'microsoft.recoveryservices/vaults' | order by id asc"
query resource-groups \
  "resourcecontainers | where type =~ 'microsoft.resources/subscriptions/resourcegroups' | order by id asc"
query subscriptions "resourcecontainers | where type =~ 'microsoft.resources/subscriptions' | order by id asc"

jq -r '.data[].id' "$folder/virtual-machines.json" | split -l 100 - "$work/ids-"
number=0
for file in "$work"/ids-*; do
  [ -s "$file" ] || continue
  mapfile -t ids < "$file"
  number=$((number + 1))
  save "instance-views-$number" az vm get-instance-view --ids "${ids[@]}"
done

number=0
while IFS=$'\t' read -r subscription group vault; do
  number=$((number + 1))
  of=(--subscription "$subscription" --resource-group "$group")
  save "policies-$number" az backup policy list "${of[@]}" --vault-name "$vault"
  save "items-$number" az backup item list "${of[@]}" --vault-name "$vault" --backup-management-type AzureIaasVM
  save "jobs-$number" az backup job list "${of[@]}" --vault-name "$vault"
  save "storage-$number" az backup vault backup-properties show "${of[@]}" --name "$vault"
done < <(jq -r '.data[] | [.subscriptionId, .resourceGroup, .name] | @tsv' "$folder/vaults.json")
