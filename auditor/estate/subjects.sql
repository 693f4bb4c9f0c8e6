-- The subjects that rules judge: one view each, whose columns are the fields that rules name.
--
-- In: the tables of facts (virtual_machines, vaults, ...), and what was said about them: schedules, intents, vm_exemptions, unread
-- (relation, subscription or '*', cause), *_tags. A VM may have its item elsewhere: unread 'vm_items' reaches VMs, unread
-- 'protected_items' the policies and vaults of the subscription. A row that is not there, and a value that is not known, are NULL.
-- NULL is carried, never guessed away: only existence, counts and what "known to be" means are decided here.
-- Joins go by number (n, and links such as policy_id_n). What many views ask for is worked out once, in narrow tables.

CREATE MACRO is_bad(columns, name) AS coalesce(list_contains(columns, name), FALSE);

-- 0001-01-01 in microseconds: older than any age.
CREATE MACRO never() AS -62135596800000000;

-- Every backup item. Azure has two vocabularies for its state; a soft-delete wins, and where they disagree nobody knows.
CREATE VIEW items AS
SELECT i.* EXCLUDE (kind, rest_state, graph_state),
       i.kind,
       coalesce(i.container_name_key, CASE WHEN i.name_key LIKE 'vm;%' THEN substring(i.name_key, 4) END) AS container_key,
       CASE WHEN i.kind IS NULL THEN NULL
            WHEN i.soft_deleted OR i.graph_state = 'soft-deleted' THEN 'soft-deleted'
            WHEN i.soft_deleted IS NULL OR is_bad(i.bad, 'protection_state') OR is_bad(i.bad, 'current_protection_state')
                 THEN NULL
            WHEN i.protection_state IS NULL THEN i.graph_state
            WHEN i.current_protection_state IS NULL THEN i.rest_state
            WHEN i.rest_state = i.graph_state THEN i.rest_state
       END AS state,
       CASE WHEN i.kind IS NULL THEN 'the item does not say what kind of backup it is (backupManagementType)'
            WHEN i.rest_state <> i.graph_state
                 THEN 'protectionState says ' || i.protection_state || ' and currentProtectionState says '
                      || i.current_protection_state
            ELSE 'the item does not say its state (protectionState)'
       END AS state_reason
FROM (
  SELECT p.*,
         CASE WHEN is_bad(p.bad, 'management_type') OR (p.management_type = 'AzureIaasVM'
                   AND p.item_type_key LIKE 'azurevmworkload%') THEN NULL
              WHEN p.management_type = 'AzureIaasVM' THEN 'vm'
              WHEN p.management_type IS NOT NULL OR p.arm_type_key LIKE '%/replicationprotecteditems' THEN 'other'
              WHEN p.item_type_key IN ('microsoft.compute/virtualmachines', 'microsoft.classiccompute/virtualmachines',
                                      'azureiaasvmprotecteditem') THEN 'vm'
              WHEN p.item_type IS NOT NULL THEN 'other'
         END AS kind,
         CASE p.protection_state
              WHEN 'Protected' THEN 'protected'
              WHEN 'IRPending' THEN 'initial-backup-pending'
              WHEN 'ProtectionStopped' THEN 'stopped'
              WHEN 'BackupsSuspended' THEN 'suspended'
              WHEN 'ProtectionPaused' THEN 'paused'
              WHEN 'ProtectionError' THEN 'error'
         END AS rest_state,
         CASE p.current_protection_state
              WHEN 'ProtectionConfigured' THEN 'protected'
              WHEN 'Protected' THEN 'protected'
              WHEN 'IRPending' THEN 'initial-backup-pending'
              WHEN 'ConfiguringProtection' THEN 'configuring'
              WHEN 'ConfiguringProtectionFailed' THEN 'error'
              WHEN 'ProtectionError' THEN 'error'
              WHEN 'ProtectionStopped' THEN 'stopped'
              WHEN 'ProtectionPaused' THEN 'paused'
              WHEN 'BackupsSuspended' THEN 'suspended'
              WHEN 'SoftDeleted' THEN 'soft-deleted'
         END AS graph_state
  FROM protected_items p
) i;

-- What the views below count and compare of an item.
CREATE TABLE item_states AS
SELECT n, vm_id_n AS vm_n, policy_id_n AS policy_n, vault_id_n AS vault_n, coalesce(kind, 'vm') = 'vm' AS maybe_vm,
       kind = 'other' AS other, state, last_recovery_point
FROM items;

-- The one item of a VM that counts. An item whose state is not known goes before one that is known not to protect:
-- it might be the live one, and then the VM's protection is not known.
CREATE TABLE live AS
SELECT vm_n, n AS item_n, items
FROM (
  SELECT vm_n, n, count(*) OVER (PARTITION BY vm_n) AS items,
         row_number() OVER (
           PARTITION BY vm_n
           ORDER BY CASE WHEN state = 'protected' THEN 0 WHEN state IS NULL THEN 1 WHEN state = 'soft-deleted' THEN 3 ELSE 2 END,
                    last_recovery_point DESC NULLS LAST, n
         ) AS place
  FROM item_states
  WHERE vm_n IS NOT NULL AND maybe_vm
)
WHERE place = 1;

-- When protection was configured: jobs name the container, some the VM.
CREATE TABLE configured AS
SELECT n, CASE WHEN count(started) = count(*) THEN max(started) END AS started
FROM (
  SELECT i.n, j.started FROM backup_jobs j JOIN items i ON i.vault_id_key = j.vault_id_key AND i.container_key = j.container_name_key
  WHERE j.operation_key = 'configurebackup' AND coalesce(j.status_key, '') NOT IN ('failed', 'cancelled')
  UNION ALL
  SELECT i.n, j.started FROM backup_jobs j JOIN items i ON i.vault_id_key = j.vault_id_key AND i.vm_id_key = j.vm_id_key
  WHERE j.operation_key = 'configurebackup' AND coalesce(j.status_key, '') NOT IN ('failed', 'cancelled')
)
GROUP BY n;

-- Items of VMs that are not in the inventory, by name: where a VM was moved or renamed, its old item is among them.
CREATE TABLE left_behind AS
SELECT friendly_name_key, count(*) AS items, min(vm_id) AS vm_id FROM items
WHERE vm_id_n IS NULL AND vm_id IS NOT NULL AND kind = 'vm' AND friendly_name IS NOT NULL
GROUP BY friendly_name_key;

CREATE VIEW policy AS
SELECT p.*, t.* EXCLUDE (n),
       p.vault_id_n AS vault_n,
       CASE WHEN r.items > 0 OR p.protected_items_count > 0 THEN TRUE
            WHEN p.protected_items_count = 0 THEN FALSE
            WHEN is_bad(p.bad, 'protected_items_count') THEN NULL
            WHEN coalesce(e.cause, s.cause) IS NULL THEN FALSE
       END AS in_use,
       coalesce(e.cause, s.cause, 'protectedItemsCount could not be used') AS in_use_reason,
       c.quietest_low AS runs_on_quietest_day_min, c.quietest_high AS runs_on_quietest_day_max,
       c.busiest_low AS runs_on_busiest_day_min, c.busiest_high AS runs_on_busiest_day_max,
       c.words AS schedule, c.note AS schedule_note,
       coalesce(CASE WHEN p.management_type IS NULL THEN 'the policy does not say what it backs up (backupManagementType)' END,
                c.reason, CASE WHEN c.busiest_low <> c.busiest_high THEN c.note END, 'the answer holds no schedulePolicy')
         AS schedule_reason
FROM backup_policies p
LEFT JOIN policy_tags t ON t.n = p.n
LEFT JOIN schedules c ON c.schedule_policy = p.schedule_policy AND p.management_type = 'AzureIaasVM'
LEFT JOIN (
  SELECT policy_n, count(*) AS items FROM item_states
  WHERE maybe_vm AND coalesce(state, '') NOT IN ('stopped', 'soft-deleted') GROUP BY policy_n
) r ON r.policy_n = p.n
LEFT JOIN unread e ON e.relation = 'protected_items' AND e.subscription = '*'
LEFT JOIN unread s ON s.relation = 'protected_items' AND s.subscription = coalesce(p.subscription_id, '')
WHERE coalesce(p.management_type, 'AzureIaasVM') = 'AzureIaasVM';

CREATE VIEW vault AS
SELECT v.*, t.* EXCLUDE (n),
       CASE WHEN v.redundancy IS NOT NULL THEN NULL
            WHEN is_bad(v.bad, 'declared_redundancy') OR is_bad(v.config_bad, 'model_type')
                 OR is_bad(v.config_bad, 'storage_type') THEN 'its redundancy could not be used'
            WHEN v.model_type IS NOT NULL
                 THEN 'storageModelType says ' || v.model_type || ' and storageType says ' || v.storage_type
            ELSE 'neither the vault''s answer nor a storage config (backupstorageconfig) in the inventory says it'
       END AS redundancy_reason,
       CASE WHEN v.declared_redundancy IS NOT NULL THEN v.source
            WHEN v.redundancy IS NOT NULL THEN 'storage config in ' || v.config_source
       END AS redundancy_source,
       v.config_state AS redundancy_state,
       i.intent, i.source AS intent_source, i.note AS intent_note, i.reason AS intent_reason,
       CASE WHEN i.intent IS NULL OR v.redundancy IS NULL THEN NULL
            WHEN i.intent = 'azure' AND v.redundancy = 'LocallyRedundant'
                 THEN 'Weaker than declared: all copies are in one datacenter.'
            WHEN i.intent = 'azure' AND v.redundancy = 'ZoneRedundant'
                 THEN 'Weaker than declared: all copies are in one region.'
            WHEN i.intent = 'zone' AND v.redundancy = 'LocallyRedundant'
                 THEN 'Weaker than declared: the loss of one zone can lose the backups.'
            WHEN i.intent = 'zone' AND v.redundancy = 'GeoRedundant'
                 THEN 'Other than declared: copies leave the region, and none of them is in another zone of it.'
            WHEN i.intent = 'other' AND v.redundancy <> 'LocallyRedundant'
                 THEN 'Stronger than declared: a cost finding, not a risk.'
       END AS redundancy_note,
       CASE WHEN i.intent = 'azure' AND v.redundancy IN ('LocallyRedundant', 'ZoneRedundant') AND u.location IS NOT NULL
                 THEN 'Its region has no pair, so geo-redundancy cannot be had there: declare zone, or exempt it.'
       END AS region_note,
       CASE v.config_state
            WHEN 'Locked' THEN 'The redundancy is locked because the vault already holds items.'
            WHEN 'Unlocked' THEN 'The redundancy can still be changed.'
       END AS redundancy_state_note,
       coalesce(n.other_items > 0 AND n.vm_items = 0 AND coalesce(e.cause, s.cause) IS NULL, FALSE)
         AS holds_only_other_workloads
FROM (
  SELECT d.*, c.model_type, c.storage_type, c.state AS config_state, c.bad AS config_bad, c.source AS config_source,
         CASE WHEN is_bad(d.bad, 'declared_redundancy') THEN NULL
              WHEN d.declared_redundancy IS NOT NULL THEN d.declared_redundancy
              WHEN is_bad(c.bad, 'model_type') OR is_bad(c.bad, 'storage_type') THEN NULL
              WHEN c.model_type <> c.storage_type THEN NULL
              ELSE coalesce(c.model_type, c.storage_type)
         END AS redundancy
  FROM vaults d
  LEFT JOIN storage_configs c ON c.vault_id_n = d.n AND c.name_key = 'vaultstorageconfig'
) v
LEFT JOIN vault_tags t ON t.n = v.n
LEFT JOIN intents i ON i.n = v.n
LEFT JOIN unpaired_regions u ON u.location = v.location
LEFT JOIN (
  SELECT vault_n, count(*) FILTER (maybe_vm) AS vm_items, count(*) FILTER (other) AS other_items
  FROM item_states GROUP BY vault_n
) n ON n.vault_n = v.n
LEFT JOIN unread e ON e.relation = 'protected_items' AND e.subscription = '*'
LEFT JOIN unread s ON s.relation = 'protected_items' AND s.subscription = coalesce(v.subscription_id, '');

CREATE VIEW resource_group AS
SELECT g.*, t.* EXCLUDE (n) FROM resource_groups g LEFT JOIN resource_group_tags t ON t.n = g.n;

CREATE VIEW subscription AS
SELECT s.*, t.* EXCLUDE (n) FROM subscriptions s LEFT JOIN subscription_tags t ON t.n = s.n;

CREATE VIEW scale_set AS
SELECT s.*, t.* EXCLUDE (n) FROM scale_sets s LEFT JOIN scale_set_tags t ON t.n = s.n;

CREATE VIEW vm AS
SELECT v.*, t.* EXCLUDE (n),
       -- {vm.exempt_from}
       CASE WHEN v.from_image THEN 'gallery-image'
            WHEN NOT v.from_image AND v.os_disk_origin IN ('Attach', 'Copy', 'Restore', 'Empty') THEN 'attached-disk'
       END AS origin,
       CASE WHEN v.from_image THEN 'Made from a gallery image, which has the agent by default.'
            WHEN NOT v.from_image AND v.os_disk_origin IN ('Attach', 'Copy', 'Restore', 'Empty')
                 THEN 'Made from an attached or migrated disk, on which the agent is installed by hand.'
            ELSE 'How its OS disk came to be is not known.'
       END AS origin_note,
       CASE WHEN v.agent_ready THEN 'ready'
            WHEN v.agent_cannot_report THEN v.agent_declared
            WHEN NOT v.agent_ready THEN CASE WHEN NOT is_bad(v.bad, 'power_state') THEN 'not-ready' END
            WHEN v.agent_reported OR is_bad(v.bad, 'agent_reported') THEN NULL
            WHEN v.agent_missing THEN 'not-ready'
            WHEN v.instance_view_read AND v.power_state IS NULL THEN NULL
            ELSE v.agent_declared
       END AS agent,
       CASE WHEN v.agent_ready OR (NOT v.agent_ready AND NOT v.agent_cannot_report) OR v.agent_missing
                 THEN 'instance view in ' || v.source
            ELSE 'osProfile in ' || v.source
       END AS agent_source,
       CASE WHEN v.agent_ready THEN 'The agent reports Ready (version ' || v.agent_version || ').'
            WHEN v.agent_cannot_report OR (v.agent_ready IS NULL AND NOT v.agent_missing) THEN
              CASE v.agent_declared
                WHEN 'declared' THEN 'The agent is declared at creation, not reported.'
                WHEN 'absent' THEN 'The VM was created without the agent (provisionVMAgent is false).'
              END
            WHEN v.agent_missing THEN 'The VM runs and reports no agent.'
            ELSE 'The agent reports ' || coalesce(v.agent_status, v.agent_code, 'no status') || ' (version '
                 || coalesce(v.agent_version, 'not given') || ').' || coalesce(' It says: ' || v.agent_message, '')
       END AS agent_note,
       CASE WHEN v.agent_reported AND NOT v.agent_cannot_report THEN 'the instance view does not say whether the agent is ready'
            WHEN v.instance_view_read AND v.power_state IS NULL
                 THEN 'the instance view shows no agent and does not say whether the VM runs'
            WHEN v.instance_view_read THEN 'nothing is reported or declared about the agent'
            ELSE 'its instance view was not read, and provisionVMAgent is not in the answer'
       END AS agent_reason,
       CASE WHEN m.items = 1 THEN 'A backup item of the same name protects ' || m.vm_id
                 || ', which is not in the inventory: was the VM moved or renamed?'
            WHEN m.items > 1 THEN m.items || ' backup items of the same name protect VMs that are not in the inventory, such as '
                 || m.vm_id || ': was the VM moved or renamed?'
       END AS moved_note
FROM (
  SELECT w.*,
         CASE WHEN NOT w.agent_reported OR w.agent_reported IS NULL THEN NULL
              WHEN w.agent_version_key = 'unknown' OR w.agent_status_key <> 'ready'
                   OR w.agent_code_key <> 'provisioningstate/succeeded' THEN FALSE
              WHEN w.agent_version IS NOT NULL AND (w.agent_status IS NOT NULL OR w.agent_code IS NOT NULL) THEN TRUE
         END AS agent_ready,
         coalesce(w.power_state IN ('deallocated', 'deallocating') OR w.provisioning_state_key = 'creating', FALSE)
           AS agent_cannot_report,
         coalesce(w.instance_view_read AND NOT w.agent_reported AND w.power_state = 'running'
                  AND w.provisioning_state_key = 'succeeded', FALSE) AS agent_missing,
         CASE WHEN w.provision_vm_agent THEN 'declared' WHEN NOT w.provision_vm_agent THEN 'absent' END AS agent_declared
  FROM virtual_machines w
) v
LEFT JOIN vm_tags t ON t.n = v.n
LEFT JOIN vm_exemptions x ON x.n = v.n
LEFT JOIN left_behind m ON m.friendly_name_key = v.name_key;

-- The backup items of VMs, as item rules see them.
CREATE VIEW item AS
SELECT i.*, t.* EXCLUDE (n), i.vm_id_n AS vm_n, i.policy_id_n AS policy_n, i.vault_id_n AS vault_n,
       TRUE AS here,
       CASE i.state
            WHEN 'protected' THEN 'Protected by policy ' || coalesce(p.name, '(not known)') || ' in vault '
                 || coalesce(u.name, regexp_extract(i.vault_id, '[^/]*$'), '(not known)') || '.'
            WHEN 'initial-backup-pending' THEN 'Backup is configured, but the first backup has not been taken.'
            WHEN 'configuring' THEN 'Protection is still being configured.'
            WHEN 'stopped' THEN 'Protection is stopped: old recovery points may remain, no new ones are taken.'
            WHEN 'suspended' THEN 'Backups are suspended: no new recovery points are taken.'
            WHEN 'paused' THEN 'Protection is paused: no new recovery points are taken.'
            WHEN 'error' THEN 'Its backup item is in an error state.'
            WHEN 'soft-deleted' THEN 'Its backup item is deleted and will be purged (soft-deleted).'
       END AS state_note,
       CASE WHEN c.n IS NOT NULL THEN c.started
            WHEN coalesce(je.cause, js.cause) IS NULL THEN never()
       END AS configured,
       coalesce(je.cause, js.cause) IS NOT NULL AS configured_open,
       coalesce(je.cause, js.cause, 'the job that configured it does not say when it started') AS configured_reason,
       coalesce(p.snapshot_consistency_key = 'onlycrashconsistent' AND i.state NOT IN ('stopped', 'soft-deleted'), FALSE)
         AS agentless
FROM items i
LEFT JOIN item_tags t ON t.n = i.n
LEFT JOIN backup_policies p ON p.n = i.policy_id_n
LEFT JOIN vaults u ON u.n = i.vault_id_n
LEFT JOIN configured c ON c.n = i.n
LEFT JOIN unread je ON je.relation = 'backup_jobs' AND je.subscription = '*'
LEFT JOIN unread js ON js.relation = 'backup_jobs' AND js.subscription = coalesce(i.subscription_id, '')
WHERE coalesce(i.kind, 'vm') = 'vm';

-- The live item of each VM, as VM rules see it: one row for every VM. Where items were not all read, only a live
-- Protected item is sure; anything else might have a twin in what was not read.
CREATE VIEW vm_item AS
SELECT v.n AS of_vm, i.* EXCLUDE (state, state_note, state_reason, here, agentless),
       CASE WHEN i.n IS NOT NULL THEN i.state WHEN v.items_cause IS NULL THEN 'none' END AS state,
       CASE WHEN i.n IS NOT NULL THEN TRUE WHEN v.items_cause IS NULL THEN FALSE END AS here,
       coalesce(i.agentless, FALSE) AS agentless,
       CASE WHEN i.n IS NULL AND v.items_cause IS NULL THEN 'Not backed up: there is no backup item for this VM.'
            WHEN i.n IS NOT NULL THEN i.state_note
                 || CASE WHEN v.items > 1 THEN ' ' || v.items || ' backup items exist for this VM; this one counts.' ELSE '' END
       END AS state_note,
       CASE WHEN i.n IS NULL AND v.items_cause IS NOT NULL
                 THEN v.items_cause || CASE WHEN v.items > 0 THEN ' (what was read has an item, but none that protects)' ELSE '' END
            ELSE i.state_reason
       END AS state_reason
FROM (
  SELECT w.n, l.item_n, l.items, coalesce(e.cause, s.cause) AS items_cause
  FROM virtual_machines w
  LEFT JOIN live l ON l.vm_n = w.n
  LEFT JOIN unread e ON e.relation = 'vm_items' AND e.subscription = '*'
  LEFT JOIN unread s ON s.relation = 'vm_items' AND s.subscription = coalesce(w.subscription_id, '')
) v
LEFT JOIN item i ON i.n = v.item_n AND (v.items_cause IS NULL OR i.state = 'protected');
