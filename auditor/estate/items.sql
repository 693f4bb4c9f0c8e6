-- The backup items: what kind each is, its state, and which of a VM's items counts. Everything here is worked out before it
-- is known what was not read; subjects.sql goes on from here.

CREATE MACRO is_bad(columns, name) AS coalesce(list_contains(columns, name), FALSE);

-- 0001-01-01 in microseconds: older than any age.
CREATE MACRO never() AS -62135596800000000;

-- Every backup item. Azure has two vocabularies for its state; a soft-delete wins, and where they disagree nobody knows.
CREATE VIEW items AS
SELECT i.* EXCLUDE (kind, rest_state, graph_state),
       i.kind,
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

-- What is counted and compared of an item, narrow enough to be asked often. A VM that is not in the inventory has a negative
-- number.
CREATE TABLE item_states AS
SELECT n, vm_id_n AS vm_n, policy_id_n AS policy_n, vault_id_n AS vault_n, container_n, coalesce(kind, 'vm') = 'vm' AS maybe_vm,
       kind, state, last_recovery_point
FROM items;

-- The VMs with more than one item: few, so only theirs have to be compared.
CREATE TABLE several AS
SELECT vm_n, count(*) AS items FROM item_states WHERE vm_n IS NOT NULL AND maybe_vm GROUP BY vm_n HAVING count(*) > 1;

-- Their items that do not count. An item whose state is not known goes before one that is known not to protect: it might be
-- the live one, and then the VM's protection is not known.
CREATE TABLE outdone AS
SELECT n
FROM (
  SELECT n,
         row_number() OVER (
           PARTITION BY vm_n
           ORDER BY CASE WHEN state = 'protected' THEN 0 WHEN state IS NULL THEN 1 WHEN state = 'soft-deleted' THEN 3 ELSE 2 END,
                    last_recovery_point DESC NULLS LAST, n
         ) AS place
  FROM item_states
  WHERE maybe_vm AND vm_n IN (SELECT vm_n FROM several)
)
WHERE place > 1;

-- The one item of a VM that counts.
CREATE VIEW live AS
SELECT i.vm_n, i.n AS item_n, coalesce(v.items, 1) AS items
FROM item_states i
LEFT JOIN outdone o ON o.n = i.n
LEFT JOIN several v ON v.vm_n = i.vm_n
WHERE i.vm_n IS NOT NULL AND i.maybe_vm AND o.n IS NULL;
