package cilocal

// result is what a job of a type writes, and what CI says of it.
type result int

// The results that types of jobs have.
const (
	// noOutput is for jobs that only look at their input, such as MediaInfo.
	noOutput result = iota
	// outputWithMD5 is for jobs that report their files and the MD5 of each.
	outputWithMD5
	// outputWithoutMD5 is for jobs that report their files with an empty Md5Info.
	outputWithoutMD5
	// outputUnreported is for jobs whose file is named nowhere but in Output.
	outputUnreported
)

// jobType is what CI calls a Tag: a type of jobs.
type jobType struct {
	tag       string
	prefix    byte // of the ids of its jobs
	queueType string
	listed    bool // whether GET /jobs?tag=… is documented to list its jobs
	result    result
}

// jobTypes are the types that CI documents for jobs by API:
// https://cloud.tencent.com/document/product/460/84766 and, for the results, the callback
// page of each type.
var jobTypes = []jobType{
	{"Transcode", 'j', "Transcoding", true, outputWithMD5},
	{"Animation", 'j', "Transcoding", true, outputWithMD5},
	{"Snapshot", 'j', "Transcoding", true, outputWithoutMD5},
	{"SmartCover", 'j', "Transcoding", true, outputWithoutMD5},
	{"Concat", 'j', "Transcoding", true, outputWithMD5},
	{"VoiceSeparate", 'j', "Transcoding", true, outputWithMD5},
	{"VideoMontage", 'j', "Transcoding", true, outputWithMD5},
	{"SDRtoHDR", 'j', "Transcoding", true, outputWithMD5},
	{"VideoProcess", 'j', "Transcoding", true, outputWithMD5},
	{"VideoEnhance", 'j', "Transcoding", true, outputWithMD5},
	{"SuperResolution", 'j', "Transcoding", true, outputWithMD5},
	{"Segment", 'j', "Transcoding", true, outputWithMD5},
	{"DigitalWatermark", 'j', "Transcoding", true, outputWithMD5},
	{"ExtractDigitalWatermark", 'j', "Transcoding", true, noOutput},
	{"VideoTag", 'j', "Transcoding", true, noOutput},
	{"MediaInfo", 'j', "Transcoding", true, noOutput},
	{"StreamExtract", 'j', "Transcoding", true, outputWithMD5},
	{"QualityEstimate", 'j', "Transcoding", true, noOutput},
	{"Tts", 'j', "Transcoding", true, outputWithMD5},
	{"NoiseReduction", 'j', "Transcoding", true, outputUnreported},
	{"Translation", 'a', "AIProcess", true, outputUnreported},
	{"WordsGeneralize", 'a', "AIProcess", true, noOutput},
	{"SpeechRecognition", 's', "Speeching", true, outputUnreported},
	{"Watermark", 'j', "Transcoding", false, outputWithMD5},
	{"SplitVideoParts", 'j', "Transcoding", false, noOutput},
	{"SegmentVideoBody", 'j', "Transcoding", false, outputWithMD5},
	{"SoundHound", 's', "Speeching", false, noOutput},
	{"VideoTargetRec", 'a', "AIProcess", false, noOutput},
	{"PicProcess", 'c', "PicProcess", false, outputUnreported},
	{"DocProcess", 'd', "DocProcess", false, outputUnreported},
	{"FileUncompress", 'f', "FileProcess", false, outputUnreported},
	{"FileCompress", 'f', "FileProcess", false, outputUnreported},
	{"FileHashCode", 'f', "FileProcess", false, noOutput},
}

// findJobType returns the type of a Tag.
func findJobType(tag string) (jobType, bool) {
	for _, t := range jobTypes {
		if t.tag == tag {
			return t, true
		}
	}
	return jobType{}, false
}

// queueTypes are the queues that a bucket gets, with the names of
// https://cloud.tencent.com/document/product/436/53970. Category is what the answers about
// queues call a type, and differs from what jobs call it.
var queueTypes = []struct {
	queueType, category, name, path string
}{
	{"Transcoding", "Transcoding", "queue-1", "queue"},
	{"SpeedTranscoding", "SpeedTranscoding", "queue-speed-transcoding-process-1", "queue"},
	{"PicProcess", "PicProcessing", "queue-pic-process-1", "picqueue"},
	{"Speeching", "Speeching", "queue-smart-audio-1", "asrqueue"},
	{"DocProcess", "DocProcessing", "queue-doc-process-1", "docqueue"},
	{"FileProcess", "FileProcessing", "queue-file-process-1", "file_queue"},
	{"AIProcess", "AIProcess", "queue-ai-process-1", "ai_queue"},
}
