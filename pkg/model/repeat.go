package model

import "strings"

// repeatable is a node of which CI documents that it may occur more than once in its
// parent. The parent matters: ObjectName repeats in an OutputFile, not in an Md5Info.
type repeatable struct{ Parent, Name, Source string }

// repeatables are the nodes that are an array in normal form even where they occur only
// once, sorted by parent and name. A node that is not listed is an array only where it
// does occur more than once. The parent *Info stands for every parent whose name ends in
// Info: PornInfo, AdsInfo and the like.
//
// What source says:
//
//	cb X        the callback page of X, which lists the node as an array or prints it twice;
//	            the pages are below https://www.tencentcloud.com/document/product/1045/49942
//	submit X    the page that submits a job of type X, there
//	query X     the page that queries a job of type X, there
//	Go X        type X of cos-go-sdk-v5 has a slice there
//	Java X      class X of cos-java-sdk-v5 has a list there, or its parser X fills one
//	Android X   class X of qcloud-sdk-android has a list there
//	iOS X       class X of qcloud-sdk-ios makes an array of a single one there
//	PHP X       model X of cos-php-sdk-v5 has an array there
//	Python X    method X of cos-python-sdk-v5 makes a list of a single one there
//	as X        there is no word for it, but it is the same node as X
//
// The repositories are github.com/tencentyun/…, read in November 2026: the type of every
// answer that is about jobs, with what it inherits, and the parsers where they are written
// by hand. Those for C++, C and C# were read like that, too, and have no list that is not in
// one of these. Those for JavaScript (Node.js, browsers, mini programs) hand over what CI
// says as it comes. What is left out:
//
//   - lists of answers that are given at once, without a job, and of templates and queues;
//   - names that nothing but a class has, while its parser reads the true one: SnapshotInfo
//     and AudioSectionInfo of Java are Snapshot and AudioSection, key in its DownloadConfig
//     is Key;
//   - LanguageResults of a Snapshot, which C++ reads with the code for an AudioSection.
var repeatables = [...]repeatable{
	{"*Info", "HitInfos", "Go TextRecognitionInfo"},
	{"*Info", "Keywords", "cb reviews"},
	{"*Info", "LibResult", "Java AudtingCommonInfo"},
	{"*Info", "LibResults", "cb reviews"},
	{"*Info", "ObjectResults", "Go RecognitionInfo"},
	{"*Info", "OcrResults", "cb reviews"},
	{"*Info", "RecognitionResults", "Go RecognitionInfo"},
	{"*Info", "SpeakerResults", "Go RecognitionInfo"},
	{"ActionTags", "Tags", "submit VideoTag"},
	{"AudioSection", "LanguageResult", "Java SectionInfo"},
	{"AudioSection", "LanguageResults", "Go AudioAuditingJobDetail"},
	{"BodyDetailInfos", "BodyDetailInfo", "Go ImgTargetRecResult"},
	{"BodyRecognition", "BodyInfo", "submit VideoTargetRec"},
	{"BodyRecognitionResult", "ResultDetails", "Java v2.BodyRecognitionResult"},
	{"CarDetailInfos", "CarDetailInfo", "Go ImgTargetRecResult"},
	{"CarRecognition", "CarInfo", "submit VideoTargetRec"},
	{"CarRecognitionResult", "ResultDetails", "Java v2.CarRecognitionResult"},
	{"CodeLocation", "Point", "Go CodeLocation"},
	{"ConcatTemplate", "AudioMix", "submit Concat"},
	{"ConcatTemplate", "AudioMixArray", "https://cloud.tencent.com/document/product/460/84733"},
	{"ConcatTemplate", "ConcatFragment", "submit Concat"},
	{"DNAResult", "Detection", "Java v2.DNAResult"},
	{"Data", "ActionTags", "submit VideoTag"},
	{"Data", "Labels", "Go VideoTagResultStreamDataData"},
	{"Data", "ObjectTags", "submit VideoTag"},
	{"Data", "PersonTags", "submit VideoTag"},
	{"Data", "PlaceTags", "submit VideoTag"},
	{"Data", "Tags", "Go VideoTagResultStreamDataData"},
	{"DetailPerSecond", "BBox", "submit VideoTag"},
	{"DetailedResult", "Items", "Go QualityEstimate"},
	{"DetectDetail", "Result", "https://cloud.tencent.com/document/product/460/108590"},
	{"Detection", "Audio", "Java v2.Detection"},
	{"Detection", "MatchDetail", "Go DnaResultDetection"},
	{"Detection", "TextDetections", "Go ImageOCRDetection"},
	{"DnaResult", "Detection", "as DNAResult/Detection; Go MediaProcessJobOperation names the parent so"},
	{"DocProcessResult", "PageInfo", "query DocProcess, sample"},
	{"DownloadConfig", "Key", "Go FileUncompressDownloadConfig"},
	{"ErrorDetail", "ErrorFile", "Go ErrorDetail"},
	{"ExtFilter", "AutoContentType", "Go ExtFilter"},
	{"FaceDetailInfos", "FaceDetailInfo", "Go ImgTargetRecResult"},
	{"FaceDetailInfos", "FaceRect", "Java FaceDetailInfos"},
	{"FaceRecognition", "FaceInfo", "Go VideoTargetRecResult"},
	{"FaceRecognitionResult", "ResultDetails", "Java v2.FaceRecognitionResult"},
	{"FileCompressConfig", "Key", "Go FileCompressConfig"},
	{"FileCompressConfig", "KeyConfig", "Go FileCompressConfig"},
	{"FileList", "Contents", "iOS QCloudFileListContents"},
	{"FillConcat", "FillInput", "Go FillConcat"},
	{"FlashResult", "sentence_list", "https://www.tencentcloud.com/document/product/436/54934"},
	{"HitInfos", "Positions", "Go TextHitInfo"},
	{"ImageOcrResult", "TextDetections", "Go ImageOCRDetection"},
	{"ImageResults", "Results", "cb reviews"},
	{"Items", "AreaCoordSet", "Go QualityEstimate"},
	{"JobParam", "Watermark", "Go InventoryTriggerJobOperationJobParam"},
	{"JobParam", "WatermarkTemplateId", "as Operation/WatermarkTemplateId"},
	{"JobsDetail", "AudioSection", "cb reviews"},
	{"JobsDetail", "DetectDetail", "https://cloud.tencent.com/document/product/460/108590; Python ci_auditing_virus_query; PHP GetDetectVirusResultOutput"},
	{"JobsDetail", "LanguageResults", "Go AudioAuditingJobDetail"},
	{"JobsDetail", "Section", "cb reviews"},
	{"JobsDetail", "Snapshot", "cb reviews"},
	{"JobsDetail", "Workflow", "Go MediaProcessJobDetail"},
	{"JudgementInfo", "JudgementResult", "Android GetWorkflowDetailResponse"},
	{"LibResults", "Keywords", "cb reviews"},
	{"LicenseRecognitionResult", "PlateInfo", "Go VideoTargetRecResult"},
	{"LicenseRecognitionResult", "ResultDetails", "Java v2.LicenseRecognitionResult"},
	{"ListInfo", "ListResults", "cb reviews"},
	{"Object", "QRcodeInfo", "Go PicProcessObject"},
	{"ObjectTags", "Objects", "submit VideoTag"},
	{"Objects", "BBox", "submit VideoTag"},
	{"OcrHitInfos", "HitInfos", "Java OcrHitInfos"},
	{"OcrResults", "Keywords", "cb reviews"},
	{"Operation", "RemoveWatermark", "Java v2.MediaJobOperation"},
	{"Operation", "Watermark", "submit Transcode"},
	{"Operation", "WatermarkTemplateId", "submit Transcode"},
	{"Output", "StreamExtract", "cb StreamExtract, sample"},
	{"OutputFile", "Md5Info", "submit Snapshot"},
	{"OutputFile", "ObjectName", "submit Snapshot"},
	{"OutputFile", "ObjectUrl", "Java MediaResult.OutputFile"},
	{"PageSegment", "Results", "cb reviews"},
	{"PersonTags", "DetailPerSecond", "submit VideoTag"},
	{"PetRecognition", "PetInfo", "submit VideoTargetRec"},
	{"PetRecognitionResult", "ResultDetails", "Java v2.PetRecognitionResult"},
	{"PitchScore", "SentenceScores", "Go VocalScoreResult"},
	{"PlaceTags", "ClipFrameResult", "Go VideoTagResultStreamDataDataPlaceTags"},
	{"PlaceTags", "Tags", "submit VideoTag"},
	{"PlateDetailInfos", "PlateDetailInfo", "Go ImgTargetRecResult"},
	{"PlateDetailInfos", "PlateLocation", "Java PlateDetailInfos"},
	{"ProcessResults", "Object", "Go ImageProcessResult; Java ProcessResults"},
	{"ResultDetail", "Words", "https://www.tencentcloud.com/document/product/436/54934"},
	{"ResultDetails", "ResultInfo", "Java v2.ResultDetails"},
	{"ResultInfo", "ObjectInfo", "Go WorkflowExecutionNotifyBody"},
	{"ResultInfo", "SpriteObjectInfo", "Go WorkflowExecutionNotifyBody"},
	{"RhythemScore", "SentenceScores", "Go VocalScoreResult"},
	{"Section", "LanguageResult", "Java SectionInfo"},
	{"Section", "LanguageResults", "Go AudioAuditingJobDetail"},
	{"SoundHoundResult", "SongList", "Java SoundHoundResult; iOS QCloudPostSoundHoundResponseSoundHoundResult"},
	{"SpeechRecognitionResult", "FlashResult", "https://www.tencentcloud.com/document/product/436/54934"},
	{"SpeechRecognitionResult", "Result", "Go SpeechRecognitionResult"},
	{"SpeechRecognitionResult", "ResultDetail", "https://www.tencentcloud.com/document/product/436/54934"},
	{"SplitVideoInfoResult", "TimeInfo", "https://cloud.tencent.com/document/product/460/94311, sample"},
	{"SpriteOutputFile", "Md5Info", "Go MediaResult"},
	{"SpriteOutputFile", "ObjectName", "Go MediaResult"},
	{"Stream", "Audio", "cb, sample"},
	{"Stream", "Subtitle", "Android MediaInfoStream; iOS QCloudMediaInfoStream"},
	{"Stream", "Video", "cb, sample"},
	{"StreamPackInfo", "VideoStreamConfig", "Go NodeHlsPackInfo"},
	{"Subtitles", "Subtitle", "Go Subtitles"},
	{"Tasks", "FileInfo", "Android GetWorkflowDetailResponse"},
	{"TextDetections", "ItemPolygon", "Go ImageOCRDetection"},
	{"TextDetections", "Polygon", "Go ImageOCRDetection"},
	{"TextDetections", "WordPolygon", "Go ImageOCRDetection"},
	{"TextDetections", "Words", "Go ImageOCRDetection"},
	{"TextResults", "Results", "cb reviews"},
	{"TopKRecognition", "BodyInfo", "Java MediaJobResponseHandler"},
	{"TopKRecognition", "CarInfo", "Java MediaJobResponseHandler"},
	{"TopKRecognition", "PetInfo", "Java MediaJobResponseHandler"},
	{"Transcode", "AudioMix", "submit Transcode"},
	{"Transcode", "AudioMixArray", "https://cloud.tencent.com/document/product/460/84733"},
	{"TranscodePro", "AudioMixArray", "https://cloud.tencent.com/document/product/460/84733"},
	{"VideoMontage", "AudioMix", "as Transcode/AudioMix"},
	{"VideoMontage", "AudioMixArray", "https://cloud.tencent.com/document/product/460/84733"},
	{"VideoSynthesis", "SpliceInfo", "Go VideoSynthesis"},
	{"VideoTargetRecResult", "BodyRecognition", "submit VideoTargetRec"},
	{"VideoTargetRecResult", "BodyRecognitionResult", "Java v2.VideoTargetRecResult"},
	{"VideoTargetRecResult", "CarRecognition", "submit VideoTargetRec"},
	{"VideoTargetRecResult", "CarRecognitionResult", "Java v2.VideoTargetRecResult"},
	{"VideoTargetRecResult", "FaceRecognition", "Go VideoTargetRecResult"},
	{"VideoTargetRecResult", "FaceRecognitionResult", "Java v2.VideoTargetRecResult"},
	{"VideoTargetRecResult", "LicenseRecognitionResult", "Go VideoTargetRecResult"},
	{"VideoTargetRecResult", "PetRecognition", "submit VideoTargetRec"},
	{"VideoTargetRecResult", "PetRecognitionResult", "Java v2.VideoTargetRecResult"},
	{"VideoTargetRecResult", "TopKRecognition", "Java MediaJobResponseHandler"},
	{"VqaPlusResult", "DetailedResult", "Go QualityEstimate"},
	{"WordCoordPoint", "WordCoordinate", "Go ImageOCRTextWords"},
	{"WordPolygon", "LeftBottom", "Go ImageOCRTextWordPolygon"},
	{"WordPolygon", "LeftTop", "Go ImageOCRTextWordPolygon"},
	{"WordPolygon", "RightBottom", "Go ImageOCRTextWordPolygon"},
	{"WordPolygon", "RightTop", "Go ImageOCRTextWordPolygon"},
	{"Words", "WordCoordPoint", "Go ImageOCRTextWords; Java OcrWord"},
	{"WordsGeneralizeResult", "WordsGeneralizeLable", "submit WordsGeneralize"},
	{"WordsGeneralizeResult", "WordsGeneralizeToken", "submit WordsGeneralize"},
	{"WorkflowExecution", "Tasks", "cb Workflow, sample"},
	{"sentence_list", "word_list", "https://www.tencentcloud.com/document/product/436/54934"},
}

// isRepeatable reports whether a child of a node named parent is always an array in
// normal form.
func isRepeatable(parent string, child *node) bool {
	if child.name == "CosHeaders" {
		// A list of Key and Value in the callbacks of jobs, a map of headers in those of
		// reviews.
		return child.has("Key", "Value")
	}
	return inRepeatables(parent, child.name) || strings.HasSuffix(parent, "Info") && inRepeatables("*Info", child.name)
}

// inRepeatables searches the table, which costs no more than a few comparisons of names.
func inRepeatables(parent, name string) bool {
	from, to := 0, len(repeatables)
	for from < to {
		middle := (from + to) / 2
		row := &repeatables[middle]
		order := strings.Compare(parent, row.Parent)
		if order == 0 {
			order = strings.Compare(name, row.Name)
		}
		switch {
		case order == 0:
			return true
		case order > 0:
			from = middle + 1
		default:
			to = middle
		}
	}
	return false
}
