"""Jobs of VM backup as the service writes them."""

import uuid

from arm.clock import iso_duration, stamp
from arm.ids import Json

_BACKUP_TASKS = ("Take Snapshot", "Transfer data to vault")


def new_job(vault: str, item: Json, operation: str, started: float, bag: Json) -> Json:
    """Return a job that has just begun."""
    name = str(uuid.uuid4())
    properties: Json = {
        "jobType": "AzureIaaSVMJob",
        "containerName": item["containerName"],
        "duration": "PT0S",
        "virtualMachineVersion": "Compute",
        "extendedInfo": {"tasksList": [], "propertyBag": {"VM Name": item["friendlyName"], **bag}},
        "entityFriendlyName": item["friendlyName"],
        "backupManagementType": "AzureIaasVM",
        "operation": operation,
        "status": "InProgress",
        "startTime": stamp(started),
        "activityId": str(uuid.uuid4()),
    }
    if operation == "Backup":
        properties["actionsInfo"] = [1]
        properties["extendedInfo"]["tasksList"] = _tasks("InProgress", "NotStarted")
        properties["extendedInfo"]["internalPropertyBag"] = {"IsInstantRpJob": "True"}
    return {
        "id": f"{vault}/backupJobs/{name}",
        "name": name,
        "type": "Microsoft.RecoveryServices/vaults/backupJobs",
        "properties": properties,
    }


def ended(job: Json, started: float, ended_at: float, failure: tuple[str, str] | None) -> Json:
    """Return a job at its end."""
    properties = dict(job["properties"])
    status = "Completed" if failure is None else "Failed"
    properties |= {"status": status, "endTime": stamp(ended_at), "duration": iso_duration(ended_at - started)}
    if properties["operation"] == "Backup":
        done, size = properties["extendedInfo"], "11782 MB" if failure is None else "0 MB"
        tasks = _tasks("Completed", "Completed") if failure is None else _tasks("InProgress", "NotStarted")
        bag = {**done["propertyBag"], "Backup Size": size}
        properties["extendedInfo"] = {**done, "tasksList": tasks, "propertyBag": bag}
    if failure is not None:
        properties["errorDetails"] = [
            {"errorCode": 400136, "errorTitle": failure[0], "errorString": failure[1], "recommendations": ["Retry."]}
        ]
    return {**job, "properties": properties}


def _tasks(*statuses: str) -> list[Json]:
    return [
        {"taskId": task, "duration": "PT0S", "status": status}
        for task, status in zip(_BACKUP_TASKS, statuses, strict=True)
    ]
