"""Azure regions that have no pair, where geo-redundant storage cannot be had."""

# https://learn.microsoft.com/azure/reliability/regions-list (column "Region pair", read 2026); only used to explain a
# verdict, never to make one.
UNPAIRED_REGIONS = (
    "austriaeast",
    "belgiumcentral",
    "chilecentral",
    "denmarkeast",
    "indonesiacentral",
    "israelcentral",
    "italynorth",
    "malaysiawest",
    "mexicocentral",
    "newzealandnorth",
    "polandcentral",
    "qatarcentral",
    "spaincentral",
)
