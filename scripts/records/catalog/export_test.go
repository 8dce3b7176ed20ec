package catalog

// MaxVersions is how many versions of a record are read.
const MaxVersions = maxVersions
