package main

import "context"

// verdict says how what was observed relates to what is assumed.
type verdict string

const (
	same      verdict = "as assumed"
	different verdict = "different"
	open      verdict = "open" // it could not be asked from here, with this key, or of these jobs
)

// assumption is something that this project takes a service to do, although no document
// says so.
type assumption struct {
	ID          string // its name: cos, ci or scf, and what it is about
	Assumed     string // what is assumed
	DependsOnIt string // what would be wrong if it were different
	Asked       string // how it is asked
	ask         func(context.Context, *survey) (observed string, v verdict, err error)
}

// assumptions are all of them.
var assumptions = []assumption{
	{"cos.create_only_conflict", "create-only answers 409 where the key exists, with whatever code",
		"a second version of a job would be taken for an error", "PUT with x-cos-forbid-overwrite, twice", askConflict},
	{"cos.write_conditions", "If-None-Match and If-Match are ignored on PUT",
		"nothing: create-only could be had in another way", "PUT with either, where it must not match", askConditions},
	{"cos.missing_key", "GET of a key that no object has answers 404 NoSuchKey",
		"a comparison takes 403 for a missing permission, and lets the create-only write decide", "GET of a key of random letters", askMissingKey},
	{"cos.untagged", "GET ?tagging of an object that never had tags answers 200 and an empty set, or 404 NoSuchTagSet",
		"such an object would not be tagged", "PUT, GET ?tagging", askUntagged},
	{"cos.tags_after_overwrite", "an object that is overwritten loses its tags",
		"nothing: tags are read before they are written", "PUT, PUT ?tagging, PUT, GET ?tagging", askOverwrite},
	{"cos.tagging_changes_nothing_else", "PUT ?tagging changes neither ETag nor Last-Modified",
		"a tagged output would be taken for one that was overwritten since", "HEAD before and after PUT ?tagging", askTouched},
	{"cos.tags_of_a_missing_key", "PUT ?tagging of a key that no object has answers 404 NoSuchKey",
		"the reason in the answer would be another", "PUT ?tagging of a key of random letters", askTagMissing},
	{"cos.tags_read_after_write", "GET ?tagging right after PUT ?tagging shows the new set",
		"a tag of somebody else, written shortly before, could be lost", "PUT ?tagging and GET ?tagging, twenty times", askTagLag},
	{"cos.read_after_overwrite", "GET right after an overwrite shows the new object",
		"a record could go backwards: what is stored is read before and after it is replaced", "PUT and GET, twenty times", askStale},
	{"cos.etag_is_md5", "the ETag of an object that was written by a simple PUT is its MD5",
		"an output that was overwritten would not be noticed", "PUT, HEAD", askETag},
	{"cos.delete_missing", "DELETE of a key that no object has answers 204",
		"replay --delete would report an error for a body that another run removed", "DELETE of a key of random letters", askDeleteMissing},
	{"cos.clock_skew", "a signature that begins up to 15 minutes in the future is taken",
		"the doctor would call a clock good that is not", "GET with signatures that begin 1 to 120 minutes ahead", askSkew},
	{"cos.tag_header", "x-cos-tagging on PUT needs name/cos:PutObjectTagging, too",
		"nothing: tags are set by PUT ?tagging alone", "PUT with the header, and PUT ?tagging, by a key that may not tag", askTagHeader},
	{"cos.internal_endpoint", "a function without a VPC reaches cos-internal",
		"nothing: the public endpoint is the default", "cannot be asked from here: deploy with COS_ENDPOINT set to it, then run the doctor with -role", notFromHere},

	{"ci.list_without_queue", "GET /jobs?tag=… with neither queueId nor queueType lists the jobs of all queues",
		"jobs would never be compared: the doctor and the first comparison say so", "GET /jobs?tag=Transcode&size=1", askWithoutQueue},
	{"ci.last_token", "the last page has no NextToken, an empty one, or the one it was asked with",
		"a listing would not end, or end early", "GET /jobs?tag=… page by page, from an hour ago", askLastToken},
	{"ci.token_header_ci", "x-ci-security-token alone is taken",
		"nothing, as long as one of the two is: both are sent", "GET /jobs?tag=Transcode&size=1 with a temporary key", askTokenHeader("X-Ci-Security-Token")},
	{"ci.token_header_cos", "x-cos-security-token alone is taken",
		"nothing, as long as one of the two is: both are sent", "GET /jobs?tag=Transcode&size=1 with a temporary key", askTokenHeader("X-Cos-Security-Token")},
	{"ci.unknown_id", "an id that CI does not know comes in NonExistJobIds, with status 200",
		"a pending job that CI has forgotten would be an error for ever", "GET /jobs/j000…", askUnknownID("j", "jobs")},
	{"ci.every_id_prefix", "/jobs answers for ids of every kind of job",
		"an audit asks at the old paths where it does not", "GET /jobs/ with unknown ids that begin with c, a, s, d and f", askEveryPrefix},
	{"ci.old_paths", "the old paths answer for an unknown id with NonExistJobIds, or 404",
		"an audit would report an error", "GET /pic_jobs/c000… and so on", askOldPaths},
	{"ci.unlisted_types", "types outside of the documented list (PicProcess, DocProcess, file jobs) are refused with 400, or list nothing",
		"RECONCILE_TYPES could have them by default", "GET /jobs?tag=PicProcess and so on", askUnlistedTypes},
	{"ci.start_is_exclusive", "startCreationTime means later than that, in whole seconds",
		"a job that was created in the second where a listing broke off could be passed over", "GET /jobs?startCreationTime= the time of a job, and a second before", askStartTime},
	{"ci.retention", "jobs are listed for about a month", "RECONCILE_DAYS of up to 30 would promise too much",
		"GET /jobs?orderByTime=Asc&size=1", askRetention},
	{"ci.answers_are_known", "an answer has x-ci-request-id and the root Response",
		"every answer would be taken for a proxy's, and nothing compared", "GET /jobs?tag=Transcode&size=1", askAnswerKnown},
	{"ci.four_at_a_time", "four requests at a time are not too many", "comparing would be throttled",
		"GET /jobs?tag=Transcode&size=1, twenty times, four at a time", askFour},

	{"scf.body_as_sent", "the event of a function URL holds a body of text as it was sent, without base64",
		"a body of base64 that is not said to be is decoded only if it becomes a callback", "POST of XML", askBody},
	{"scf.body_of_bytes", "a body that is no text arrives in base64 and is said to, or arrives damaged",
		"nothing: callbacks are text", "POST of four bytes that are not UTF-8", askBytes},
	{"scf.empty_body", "an empty body arrives as \"\", as null, or not at all",
		"an empty POST, deploy.sh's question, would be no probe", "POST without a body", askEmptyBody},
	{"scf.event_fields", "method, path, headers, queryString and body are there",
		"the event would be refused as another trigger's", "the names of the event's fields", askEventFields},
	{"scf.repeated_parameter", "a parameter that comes twice is a list, or one of the two",
		"a callback with two tokens would be refused", "POST ?survey=1&survey=2", askRepeated},
	{"scf.parameter_without_value", "a parameter without a value is true, \"\", or not there",
		"the event could not be read", "POST ?survey", askBare},
	{"scf.encoded_parameter", "the values of parameters arrive decoded, a plus as a space",
		"tokens with such characters would not match", "POST ?survey=a%2Bb+c", askEncoded},
	{"scf.base64_response", "isBase64Encoded in an integrated response is honoured",
		"nothing: answers are text", "an answer in base64", askBase64Response},
	{"scf.response_headers", "headers and status of an integrated response reach the client",
		"CI and the doctor would not see 503 and Retry-After", "an answer with status 503 and Retry-After", askStatus},
	{"scf.credentials_at_start", "credentials come with each invocation, and are not there at start",
		"nothing: they are read in every invocation", "whether they were set at start, and are in the invocation", askCredentials},
	{"scf.error_of_the_function", "an error of the function is an answer that is not 2xx",
		"a bug could look like success to CI", "a function that returns an error", askError},
	{"scf.large_body", "a body of 5 MB arrives whole", "large callbacks would be lost", "POST of 5 MB", askLargeBody},
}
