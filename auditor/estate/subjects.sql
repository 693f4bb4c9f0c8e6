-- The subjects that rules judge: one view each, whose columns are the fields that rules name.
--
-- In: the tables of facts (virtual_machines, vaults, ...) and what items.sql makes of them; what was said about them
-- (intents, objectives, exemptions); schedules, retentions and disk_exclusions, worked out once for each text; *_tags; the
-- macros now_us() and until_us(), which is later by as long as it took to read the inventory; and unread (relation,
-- subscription or '*', cause). A VM may have its item elsewhere: unread 'vm_items' reaches VMs, unread 'protected_items' the
-- policies and vaults of the subscription.
--
-- A row that is not there, and a value that is not known, are NULL. NULL is carried, never guessed away: only existence,
-- counts and what "known to be" means are decided here. Joins go by number (n, and links such as policy_id_n, which are
-- negative where what they name is not in the inventory). What rules compare stands in ``item`` and ``vm_item``; the words
-- for it, which only few rows need, in ``item_told`` and ``vm_item_told``.

-- The resources of each kind as they were read, before any join that could multiply them: as many are judged.
CREATE VIEW vm_rows AS SELECT * FROM virtual_machines;
CREATE VIEW item_rows AS SELECT * FROM items WHERE coalesce(kind, 'vm') = 'vm';
CREATE VIEW policy_rows AS SELECT * FROM backup_policies WHERE coalesce(management_type, 'AzureIaasVM') = 'AzureIaasVM';
CREATE VIEW vault_rows AS SELECT * FROM vaults;

-- Items of VMs that are not in the inventory, by name: where a VM was moved or renamed, its old item is among them.
CREATE TABLE left_behind AS
SELECT friendly_name_key, count(*) AS items, min(vm_id) AS vm_id FROM items
WHERE vm_id_n < 0 AND kind = 'vm' AND friendly_name IS NOT NULL
GROUP BY friendly_name_key;

-- When protection was configured: jobs name the container, some the VM.
CREATE TABLE configured AS
SELECT n, CASE WHEN count(started) = count(*) THEN max(started) END AS started
FROM (
  SELECT i.n, j.started FROM backup_jobs j JOIN item_states i ON i.container_n = j.container_n
  WHERE j.operation_key = 'configurebackup' AND coalesce(j.status_key, '') NOT IN ('failed', 'cancelled')
  UNION ALL
  SELECT i.n, j.started FROM backup_jobs j JOIN item_states i ON i.vault_n = j.vault_id_n AND i.vm_n = j.vm_id_n
  WHERE j.operation_key = 'configurebackup' AND coalesce(j.status_key, '') NOT IN ('failed', 'cancelled')
)
GROUP BY n;

-- Backup jobs of VMs that ended, and those that do not say whether they are such (badness is NULL). Of two that started in
-- the same instant the worse one counts as the newer.
CREATE VIEW ended_jobs AS
SELECT j.vault_id_n AS vault_n, j.vm_id_n AS vm_n, j.container_n, j.started,
       CASE WHEN j.operation IS NULL OR j.started IS NULL THEN NULL
            ELSE CASE j.status_key WHEN 'completed' THEN 0 WHEN 'completedwithwarnings' THEN 1 WHEN 'cancelled' THEN 2
                                   WHEN 'failed' THEN 3 END
       END AS badness,
       now_us() IS NULL OR j.started BETWEEN now_us() - 14 * 86400000000 AND until_us() AS recent
FROM backup_jobs j
WHERE coalesce(j.management_type, 'AzureIaasVM') = 'AzureIaasVM' AND coalesce(j.operation_key, 'backup') = 'backup'
      AND coalesce(j.status_key, '') NOT IN ('inprogress', 'cancelling');

-- Where two items are in one vault and of one VM, or in one container: they would share jobs. A container has the number of
-- its first item, so another one in it has another.
CREATE TABLE sharing_vms AS
SELECT vault_n, vm_n FROM item_states
WHERE maybe_vm AND vm_n IN (SELECT vm_n FROM several) GROUP BY vault_n, vm_n HAVING count(*) > 1;

CREATE TABLE sharing_containers AS SELECT DISTINCT container_n FROM item_states WHERE container_n <> n;

-- Whose job it is: of the item of the VM that it names, else of the only item of that container. Two items never share a
-- job; those that would are told. The newest job's badness is in its last bits: 7 where it is not known, so that of the jobs
-- of one instant that one counts.
CREATE TABLE jobs_of_items AS
SELECT item_n, count(*) FILTER (shared) AS shared, count(*) FILTER (badness IS NULL AND coalesce(recent, TRUE) AND NOT shared) AS unclear,
       count(*) FILTER (badness <= 1 AND recent AND NOT shared) AS good,
       count(*) FILTER (badness = 3 AND recent AND NOT shared) AS failed,
       CASE WHEN count(*) FILTER (shared OR started IS NULL) = 0 THEN max(started * 8 + coalesce(badness, 7)) & 7 END AS newest
FROM (
  SELECT i.n AS item_n, c.vm_n IS NOT NULL AS shared, j.badness, j.started, j.recent
  FROM ended_jobs j
  JOIN item_states i ON i.vault_n = j.vault_n AND i.vm_n = j.vm_n AND i.maybe_vm
  LEFT JOIN sharing_vms c ON c.vault_n = j.vault_n AND c.vm_n = j.vm_n
  UNION ALL
  SELECT i.n AS item_n, c.container_n IS NOT NULL AS shared, j.badness, j.started, j.recent
  FROM ended_jobs j
  JOIN item_states i ON i.container_n = j.container_n AND i.maybe_vm
  LEFT JOIN sharing_containers c ON c.container_n = j.container_n
  WHERE j.vm_n IS NULL
)
GROUP BY item_n;

-- The longest gap between two backups that each policy plans.
CREATE VIEW planned AS
SELECT p.n, c.gap_low, c.gap_high,
       coalesce(CASE WHEN p.management_type IS NULL THEN 'the policy does not say what it backs up (backupManagementType)' END,
                c.reason, CASE WHEN c.note <> '' THEN c.note END, 'the answer holds no schedulePolicy') AS reason
FROM backup_policies p
LEFT JOIN schedules c ON c.schedule_policy = p.schedule_policy AND p.management_type = 'AzureIaasVM';

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
         AS schedule_reason,
       g.gap_low AS longest_gap_hours_min, g.gap_high AS longest_gap_hours_max, g.reason AS longest_gap_reason,
       k.days AS daily_retention_days, k.months AS monthly_retention_months, k.years AS yearly_retention_years,
       k.note AS retention_note,
       coalesce(CASE WHEN p.management_type IS NULL THEN 'the policy does not say what it backs up (backupManagementType)' END,
                CASE WHEN k.reason <> '' THEN k.reason END, 'the answer holds no retentionPolicy') AS retention_reason
FROM policy_rows p
LEFT JOIN policy_tags t ON t.n = p.n
LEFT JOIN planned g ON g.n = p.n
LEFT JOIN retentions k ON k.retention_policy = p.retention_policy AND p.management_type = 'AzureIaasVM'
LEFT JOIN schedules c ON c.schedule_policy = p.schedule_policy AND p.management_type = 'AzureIaasVM'
LEFT JOIN (
  SELECT policy_n, count(*) AS items FROM item_states
  WHERE maybe_vm AND coalesce(state, '') NOT IN ('stopped', 'soft-deleted') GROUP BY policy_n
) r ON r.policy_n = p.n
LEFT JOIN unread e ON e.relation = 'protected_items' AND e.subscription = '*'
LEFT JOIN unread s ON s.relation = 'protected_items' AND s.subscription = coalesce(p.subscription_id, '');

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
         AS holds_only_other_workloads,
       coalesce(n.vm_items, 0) = 0 AND coalesce(e.cause, s.cause) IS NULL AS holds_no_vm_backup,
       CASE WHEN is_bad(v.bad, 'declared_soft_delete') OR v.declared_soft_delete <> b.soft_delete THEN NULL
            WHEN v.declared_soft_delete IS NOT NULL THEN v.declared_soft_delete
            WHEN NOT is_bad(b.bad, 'soft_delete') THEN b.soft_delete
       END AS soft_delete,
       CASE WHEN v.declared_soft_delete <> b.soft_delete
                 THEN 'the vault says ' || v.declared_soft_delete || ' and its vault config says ' || b.soft_delete
            WHEN is_bad(b.bad, 'soft_delete') THEN 'its vault config could not be used'
            ELSE 'neither the vault''s answer nor a vault config (backupconfig) in the inventory says it'
       END AS soft_delete_reason,
       CASE WHEN v.declared_soft_delete IS NOT NULL THEN v.source
            WHEN b.soft_delete IS NOT NULL THEN 'vault config in ' || b.source
       END AS soft_delete_source,
       CASE WHEN is_bad(v.bad, 'declared_soft_delete_days') OR v.declared_soft_delete_days <> b.soft_delete_days THEN NULL
            WHEN v.declared_soft_delete_days IS NOT NULL THEN v.declared_soft_delete_days
            WHEN NOT is_bad(b.bad, 'soft_delete_days') THEN b.soft_delete_days
       END AS soft_delete_days,
       CASE WHEN v.declared_soft_delete_days <> b.soft_delete_days
                 THEN 'the vault says ' || v.declared_soft_delete_days || ' and its vault config says ' || b.soft_delete_days
            WHEN is_bad(b.bad, 'soft_delete_days') THEN 'its vault config could not be used'
            ELSE 'neither the vault''s answer nor a vault config (backupconfig) in the inventory says it'
       END AS soft_delete_days_reason,
       CASE WHEN v.declared_soft_delete_days IS NOT NULL THEN v.source
            WHEN b.soft_delete_days IS NOT NULL THEN 'vault config in ' || b.source
       END AS soft_delete_days_source,
       CASE v.immutability WHEN 'Unlocked' THEN 'It is reversible by an administrator.' END AS immutability_note
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
LEFT JOIN vault_configs b ON b.vault_id_n = v.n AND b.name_key = 'vaultconfig'
LEFT JOIN unpaired_regions u ON u.location = v.location
LEFT JOIN (
  SELECT vault_n, count(*) FILTER (maybe_vm) AS vm_items, count(*) FILTER (kind = 'other') AS other_items
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
SELECT v.* EXCLUDE (bad), t.* EXCLUDE (n),
       -- An objective that cannot be used is there all the same: it is not absent.
       CASE WHEN r.n IS NOT NULL AND r.hours IS NULL THEN list_append(coalesce(v.bad, []), 'rpo_hours') ELSE v.bad END AS bad,
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
       END AS moved_note,
       r.hours AS rpo_hours,
       coalesce(r.source, v.source) AS rpo_source,
       r.reason AS rpo_reason
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
LEFT JOIN objectives r ON r.n = v.n
LEFT JOIN left_behind m ON m.friendly_name_key = v.name_key;

-- Whether the VM of an item still exists, where the inventory does not hold it: it is known to be gone where the VMs of its
-- subscription were read; classic VMs are never read.
CREATE VIEW strays AS
SELECT i.n,
       CASE WHEN i.datasource_deleted THEN FALSE
            WHEN i.vm_subscription IS NULL OR is_bad(i.bad, 'datasource_deleted') THEN NULL
            WHEN r.subscription_id IS NOT NULL AND coalesce(ve.cause, vs.cause) IS NULL THEN FALSE
       END AS vm_here,
       CASE WHEN i.vm_id IS NULL THEN 'the item does not say which VM it protects'
            WHEN i.vm_subscription IS NULL THEN 'it protects ' || i.vm_id || ', which is no VM of Resource Manager'
            ELSE coalesce(ve.cause, vs.cause, 'no VM of the subscription ' || i.vm_subscription || ' is in the inventory')
       END AS vm_reason
FROM (
  SELECT *, CASE WHEN vm_id_key LIKE '%/providers/microsoft.compute/virtualmachines/%'
                 THEN split_part(vm_id_key, '/', 3) END AS vm_subscription
  FROM items WHERE coalesce(kind, 'vm') = 'vm' AND coalesce(vm_id_n, -1) < 0
) i
LEFT JOIN (SELECT DISTINCT subscription_id FROM virtual_machines) r ON r.subscription_id = i.vm_subscription
LEFT JOIN unread ve ON ve.relation = 'virtual_machines' AND ve.subscription = '*'
LEFT JOIN unread vs ON vs.relation = 'virtual_machines' AND vs.subscription = i.vm_subscription;

-- Which items leave out disks, of those that say anything about disks.
CREATE VIEW left_out AS
SELECT i.n, x.excluded, x.reason, x.note
FROM protected_items i
LEFT JOIN virtual_machines v ON v.n = i.vm_id_n
JOIN disk_exclusions x ON x.disk_exclusion = i.disk_exclusion AND x.data_disk_luns IS NOT DISTINCT FROM v.data_disk_luns
WHERE i.disk_exclusion IS NOT NULL;

-- How many items a VM has that has several: those known to be live, and those that may be.
CREATE VIEW twins AS
SELECT vm_n, count(*) FILTER (kind = 'vm' AND state <> 'soft-deleted') AS at_least,
       count(*) FILTER (coalesce(state, '') <> 'soft-deleted') AS at_most
FROM item_states
WHERE vm_n IN (SELECT vm_n FROM several) AND maybe_vm
GROUP BY vm_n;

-- Items whose VM may have another one in what was not read of its subscription, and items whose jobs may be there.
CREATE VIEW hidden_twins AS
SELECT i.n, u.cause FROM protected_items i
JOIN unread u ON u.relation = 'vm_items' AND u.subscription = coalesce(split_part(i.vm_id_key, '/', 3), '');

CREATE VIEW hidden_jobs AS
SELECT i.n, u.cause FROM protected_items i
JOIN unread u ON u.relation = 'backup_jobs' AND u.subscription = coalesce(i.subscription_id, '');

-- VMs whose items were not all read. Only a live Protected item of theirs is sure; anything else might have a twin in what
-- was not read.
CREATE TABLE doubted AS
SELECT DISTINCT w.n FROM virtual_machines w
JOIN unread u ON u.relation = 'vm_items' AND u.subscription IN ('*', coalesce(w.subscription_id, ''));

-- What rules compare of an item beside its facts: worked out once, for several views and many rules ask for it.
-- ``counts_for`` is the number of the VM whose item it surely is.
CREATE TABLE judged_items AS
SELECT i.n, i.state,
       CASE WHEN l.n IS NULL AND (d.n IS NULL OR i.state = 'protected') THEN i.vm_id_n END AS counts_for,
       CASE WHEN c.n IS NOT NULL THEN c.started
            WHEN coalesce(je.cause, js.cause) IS NULL THEN never()
       END AS configured,
       coalesce(je.cause, js.cause) IS NOT NULL AS configured_open,
       coalesce(p.snapshot_consistency_key = 'onlycrashconsistent' AND i.state NOT IN ('stopped', 'soft-deleted'), FALSE)
         AS agentless,
       CASE WHEN i.vm_id_n >= 0 THEN TRUE ELSE a.vm_here END AS vm_here,
       i.last_recovery_point > never() AS ever_backed_up,
       i.age AS recovery_point_age_hours,
       i.age - g.gap_high AS hours_overdue_min, i.age - g.gap_low AS hours_overdue_max,
       CASE WHEN is_bad(i.bad, 'last_backup_status') THEN NULL
            WHEN i.last_backup_status_key = 'completed' THEN 'Completed'
            WHEN i.last_backup_status_key = 'completedwithwarnings' THEN 'CompletedWithWarnings'
            WHEN i.last_backup_status_key = 'failed' THEN 'Failed'
            WHEN i.last_backup_status_key = 'cancelled' THEN 'Cancelled'
            WHEN i.last_backup_status IS NOT NULL AND i.last_backup_status_key <> 'inprogress' THEN NULL
            WHEN coalesce(je.cause, js.cause) IS NULL
                 THEN CASE o.newest WHEN 0 THEN 'Completed' WHEN 1 THEN 'CompletedWithWarnings' WHEN 2 THEN 'Cancelled'
                                    WHEN 3 THEN 'Failed' END
       END AS last_backup_outcome,
       coalesce(o.good + o.failed, 0) AS finished_backup_jobs_min,
       CASE WHEN coalesce(je.cause, js.cause) IS NULL AND coalesce(o.shared, 0) = 0
            THEN coalesce(o.good + o.failed + o.unclear, 0) END AS finished_backup_jobs_max,
       CASE WHEN coalesce(je.cause, js.cause) IS NULL AND o.shared = 0 AND o.unclear = 0 AND o.good + o.failed > 0
            THEN o.good / CAST(o.good + o.failed AS DOUBLE) END AS job_success_ratio,
       CASE WHEN i.vm_id_n IS NULL THEN 0
            WHEN z.vm_n IS NOT NULL THEN z.at_least
            ELSE CAST(coalesce(i.kind = 'vm' AND i.state <> 'soft-deleted', FALSE) AS BIGINT)
       END AS live_items_min,
       CASE WHEN coalesce(ie.cause, si.cause) IS NOT NULL OR i.vm_id_n IS NULL THEN NULL
            WHEN z.vm_n IS NOT NULL THEN z.at_most
            ELSE CAST(coalesce(i.state, '') <> 'soft-deleted' AS BIGINT)
       END AS live_items_max,
       CASE WHEN is_bad(i.bad, 'disk_exclusion') THEN NULL
            WHEN i.disk_exclusion IS NOT NULL THEN x.excluded
            WHEN is_bad(i.bad, 'extended_read') THEN NULL
            WHEN i.extended_read THEN FALSE
            -- The backup service gives extended properties where disks are excluded; Resource Graph may leave them out.
            WHEN i.protection_state IS NOT NULL AND i.current_protection_state IS NULL AND i.datasource_deleted IS NULL
                 AND NOT is_bad(i.bad, 'current_protection_state') AND i.arm_type <> i.arm_type_key THEN FALSE
       END AS excludes_disks
FROM (
  SELECT *, CASE WHEN last_recovery_point > never() AND last_recovery_point <= until_us()
                 THEN greatest(now_us() - last_recovery_point, 0) / 3.6e9 END AS age
  FROM item_rows
) i
LEFT JOIN backup_policies p ON p.n = i.policy_id_n
LEFT JOIN configured c ON c.n = i.n
LEFT JOIN strays a ON a.n = i.n
LEFT JOIN planned g ON g.n = i.policy_id_n
LEFT JOIN jobs_of_items o ON o.item_n = i.n
LEFT JOIN twins z ON z.vm_n = i.vm_id_n
LEFT JOIN outdone l ON l.n = i.n
LEFT JOIN doubted d ON d.n = i.vm_id_n
LEFT JOIN left_out x ON x.n = i.n
LEFT JOIN unread ie ON ie.relation = 'vm_items' AND ie.subscription = '*'
LEFT JOIN unread je ON je.relation = 'backup_jobs' AND je.subscription = '*'
LEFT JOIN hidden_twins si ON si.n = i.n
LEFT JOIN hidden_jobs js ON js.n = i.n;

-- The backup items of VMs, as item rules see them.
CREATE VIEW item AS
SELECT i.* EXCLUDE (state, vm_id_n, policy_id_n, vault_id_n), j.* EXCLUDE (n), t.* EXCLUDE (n),
       i.vm_id_n AS vm_n, i.policy_id_n AS policy_n, i.vault_id_n AS vault_n, TRUE AS here
FROM items i
JOIN judged_items j ON j.n = i.n
LEFT JOIN item_tags t ON t.n = i.n;

-- The same with words: why a value is not known, and what messages say of it.
-- Hours to a tenth, a half rounded up; printf rounds halves one way in one database and another way in the next.
CREATE MACRO tenths(hours) AS floor(hours * 10 + 0.5);
CREATE MACRO in_hours(hours) AS CAST(CAST(floor(tenths(hours) / 10) AS BIGINT) AS VARCHAR)
  || CASE WHEN tenths(hours) % 10 = 0 THEN '' ELSE '.' || CAST(CAST(tenths(hours) % 10 AS BIGINT) AS VARCHAR) END;

CREATE VIEW twins_told AS
SELECT vm_id_n AS vm_n,
       string_agg(coalesce(split_part(vault_id, '/', -1), '(vault not known)') || ' ('
                  || coalesce(state, 'state not known') || ')', ', ' ORDER BY n) AS words
FROM items
WHERE vm_id_n IN (SELECT vm_n FROM several) AND coalesce(kind, 'vm') = 'vm'
GROUP BY vm_id_n;

CREATE VIEW item_told AS
SELECT i.*,
       CASE i.state
            WHEN 'protected' THEN 'Protected by policy ' || coalesce(p.name, '(not known)') || ' in vault '
                 || coalesce(u.name, split_part(i.vault_id, '/', -1), '(not known)') || '.'
            WHEN 'initial-backup-pending' THEN 'Backup is configured, but the first backup has not been taken.'
            WHEN 'configuring' THEN 'Protection is still being configured.'
            WHEN 'stopped' THEN 'Protection is stopped: old recovery points may remain, no new ones are taken.'
            WHEN 'suspended' THEN 'Backups are suspended: no new recovery points are taken.'
            WHEN 'paused' THEN 'Protection is paused: no new recovery points are taken.'
            WHEN 'error' THEN 'Its backup item is in an error state.'
            WHEN 'soft-deleted' THEN 'Its backup item is deleted and will be purged (soft-deleted).'
       END AS state_note,
       coalesce(je.cause, js.cause, 'the job that configured it does not say when it started') AS configured_reason,
       a.vm_reason,
       CASE WHEN i.last_recovery_point <= never() THEN 'it was never backed up'
            WHEN now_us() IS NULL THEN 'the inventory does not say when it was taken, so ages are unknown'
            WHEN i.last_recovery_point > until_us()
                 THEN 'the newest recovery point is later than what counts as now: is --as-of too early?'
       END AS age_reason,
       CASE WHEN i.last_recovery_point <= never() THEN 'it was never backed up'
            WHEN now_us() IS NULL THEN 'the inventory does not say when it was taken, so ages are unknown'
            WHEN i.last_recovery_point > until_us()
                 THEN 'the newest recovery point is later than what counts as now: is --as-of too early?'
            WHEN i.last_recovery_point IS NULL THEN 'its newest recovery point is not known'
            WHEN g.n IS NOT NULL THEN g.reason
            WHEN i.policy_id IS NULL THEN 'it has no policy'
            ELSE 'its policy is not in the inventory'
       END AS overdue_reason,
       CASE WHEN i.last_recovery_point <= never() THEN 'It was never backed up.'
            WHEN i.recovery_point_age_hours IS NOT NULL THEN 'Its newest recovery point is ' || in_hours(i.recovery_point_age_hours) || ' hours old'
                 || coalesce('; the policy leaves ' || in_hours(g.gap_low)
                             || CASE WHEN g.gap_low < g.gap_high THEN ' to ' || in_hours(g.gap_high) ELSE '' END
                             || ' hours at most between two', '') || '.'
       END AS age_note,
       CASE WHEN i.last_backup_status_key <> 'inprogress'
                 THEN 'lastBackupStatus is "' || i.last_backup_status || '", which Azure does not document'
            ELSE coalesce(je.cause, js.cause,
                          CASE WHEN o.shared > 0 THEN 'its jobs could be those of another item too'
                               WHEN o.unclear > 0 THEN 'a job does not say what it was or how it ended' END,
                          'lastBackupStatus says nothing, and there is no finished job of it')
       END AS last_backup_reason,
       coalesce(je.cause, js.cause,
                CASE WHEN o.shared > 0 THEN 'its jobs could be those of another item too'
                     WHEN o.unclear > 0 THEN 'a job does not say what it was or how it ended' END,
                'there is no finished job of it') AS jobs_reason,
       o.good || ' of ' || (o.good + o.failed) || ' backup jobs of the last 14 days succeeded.' AS jobs_note,
       coalesce(ie.cause, si.cause, 'the state or kind of an item is not known') AS live_items_reason,
       'Its backup items: ' || z.words || '.' AS twins_note,
       CASE WHEN i.disk_exclusion IS NOT NULL THEN x.reason
            ELSE 'Resource Graph is not known to say it, and the answer of the backup service is not in the inventory'
       END AS disks_reason,
       x.note AS disks_note
FROM item i
LEFT JOIN backup_policies p ON p.n = i.policy_n
LEFT JOIN vaults u ON u.n = i.vault_n
LEFT JOIN strays a ON a.n = i.n
LEFT JOIN planned g ON g.n = i.policy_n
LEFT JOIN jobs_of_items o ON o.item_n = i.n
LEFT JOIN twins_told z ON z.vm_n = i.vm_n
LEFT JOIN left_out x ON x.n = i.n
LEFT JOIN unread ie ON ie.relation = 'vm_items' AND ie.subscription = '*'
LEFT JOIN unread je ON je.relation = 'backup_jobs' AND je.subscription = '*'
LEFT JOIN hidden_twins si ON si.n = i.n
LEFT JOIN hidden_jobs js ON js.n = i.n;

-- The live item of each VM, as VM rules see it: one row for every VM, without an item where none is sure.
CREATE VIEW vm_item AS
SELECT w.n AS of_vm, i.* EXCLUDE (state, here, agentless),
       CASE WHEN i.n IS NOT NULL THEN i.state WHEN coalesce(e.cause, s.cause) IS NULL THEN 'none' END AS state,
       CASE WHEN i.n IS NOT NULL THEN TRUE WHEN coalesce(e.cause, s.cause) IS NULL THEN FALSE END AS here,
       coalesce(i.agentless, FALSE) AS agentless
FROM virtual_machines w
LEFT JOIN unread e ON e.relation = 'vm_items' AND e.subscription = '*'
LEFT JOIN unread s ON s.relation = 'vm_items' AND s.subscription = coalesce(w.subscription_id, '')
LEFT JOIN item i ON i.counts_for = w.n;

-- What is told is told of so many resources at a time: their words are long.
CREATE MACRO first_n() AS 0;
CREATE MACRO last_n() AS 2147483647;

CREATE VIEW vm_item_told AS
SELECT w.n AS of_vm, i.* EXCLUDE (state, state_note, state_reason, here, agentless),
       CASE WHEN i.n IS NOT NULL THEN i.state WHEN coalesce(e.cause, s.cause) IS NULL THEN 'none' END AS state,
       CASE WHEN i.n IS NOT NULL THEN TRUE WHEN coalesce(e.cause, s.cause) IS NULL THEN FALSE END AS here,
       coalesce(i.agentless, FALSE) AS agentless,
       CASE WHEN i.n IS NULL AND coalesce(e.cause, s.cause) IS NULL
                 THEN 'Not backed up: there is no backup item for this VM.'
            WHEN i.n IS NOT NULL THEN i.state_note
                 || CASE WHEN l.items > 1 THEN ' ' || l.items || ' backup items exist for this VM; this one counts.' ELSE '' END
       END AS state_note,
       CASE WHEN i.n IS NULL AND coalesce(e.cause, s.cause) IS NOT NULL
                 THEN coalesce(e.cause, s.cause)
                      || CASE WHEN l.items > 0 THEN ' (what was read has an item, but none that protects)' ELSE '' END
            ELSE i.state_reason
       END AS state_reason
FROM virtual_machines w
LEFT JOIN live l ON l.vm_n = w.n
LEFT JOIN unread e ON e.relation = 'vm_items' AND e.subscription = '*'
LEFT JOIN unread s ON s.relation = 'vm_items' AND s.subscription = coalesce(w.subscription_id, '')
LEFT JOIN item_told i ON i.counts_for = w.n AND i.counts_for BETWEEN first_n() AND last_n()
WHERE w.n BETWEEN first_n() AND last_n();
