package model

import "strings"

// repeats tells whether a node is always an array in normal form: whether CI
// documents that it may occur more than once in its parent. The parent matters:
// ObjectName repeats in an OutputFile, not in an Md5Info. A node that is not
// listed is an array only where it does occur more than once.
//
// Where it stands: "cb" is the callback page of the job type, "submit" the page that
// submits such a job, both below the page "Callback Information"
// (https://www.tencentcloud.com/document/product/1045/49942); "sample" a page's own
// body that repeats the node; "Go SDK" a slice in cos-go-sdk-v5; "Java SDK" and
// "Android SDK" a list in Tencent's.
func repeats(parent string, n *node) bool {
	const longest = 60 // of the names below; those of a body may be megabytes
	if len(parent)+1+len(n.name) > longest {
		return false
	}
	switch parent + "/" + n.name {
	case
		// What a media job wrote.
		"OutputFile/ObjectName",                                   // submit Snapshot: String array
		"OutputFile/ObjectUrl",                                    // Java SDK MediaResult.OutputFile
		"OutputFile/Md5Info",                                      // submit Snapshot: Container array
		"SpriteOutputFile/ObjectName", "SpriteOutputFile/Md5Info", // Go SDK MediaResult
		"Stream/Audio", "Stream/Video", // sample, page "Callback Information"
		"Output/StreamExtract", // cb StreamExtract, sample

		// What was asked of a media job.
		"Operation/Watermark", "Operation/WatermarkTemplateId", // submit Transcode: Container array, String array
		"Transcode/AudioMix",                                       // submit Transcode: Container array
		"ConcatTemplate/AudioMix", "ConcatTemplate/ConcatFragment", // submit Concat: Container array
		"VideoMontage/AudioMix", // the same node, of which the Go SDK takes one
		// The page prints the node twice, https://cloud.tencent.com/document/product/460/84733
		"Transcode/AudioMixArray", "ConcatTemplate/AudioMixArray", "VideoMontage/AudioMixArray", "TranscodePro/AudioMixArray",
		"Subtitles/Subtitle",            // Go SDK Subtitles
		"FillConcat/FillInput",          // Go SDK FillConcat
		"VideoSynthesis/SpliceInfo",     // Go SDK VideoSynthesis
		"SplitVideoInfoResult/TimeInfo", // https://cloud.tencent.com/document/product/460/94311, sample

		// Workflows.
		"WorkflowExecution/Tasks",                              // cb Workflow, sample; https://www.tencentcloud.com/document/product/1045/50341
		"ResultInfo/ObjectInfo", "ResultInfo/SpriteObjectInfo", // Go SDK WorkflowExecutionNotifyBody
		"JudgementInfo/JudgementResult", "Tasks/FileInfo", // Android SDK GetWorkflowDetailResponse

		// Video tags, submit VideoTag: Container array.
		"Data/PersonTags", "Data/PlaceTags", "Data/ActionTags", "Data/ObjectTags",
		"PersonTags/DetailPerSecond", "DetailPerSecond/BBox",
		"PlaceTags/ClipFrameResult", // Go SDK VideoTagResultStreamDataDataPlaceTags
		"PlaceTags/Tags", "ActionTags/Tags", "ObjectTags/Objects", "Objects/BBox",
		"Data/Tags", "Data/Labels", // Go SDK VideoTagResultStreamDataData

		// Recognition and speech.
		"WordsGeneralizeResult/WordsGeneralizeLable", "WordsGeneralizeResult/WordsGeneralizeToken", // submit WordsGeneralize: Container array
		// https://www.tencentcloud.com/document/product/436/54934: Container array
		"SpeechRecognitionResult/FlashResult", "SpeechRecognitionResult/ResultDetail",
		"FlashResult/sentence_list", "sentence_list/word_list", "ResultDetail/Words",
		"PitchScore/SentenceScores", "RhythemScore/SentenceScores", // Go SDK VocalScoreResult
		// submit VideoTargetRec: Container array
		"VideoTargetRecResult/BodyRecognition", "VideoTargetRecResult/PetRecognition", "VideoTargetRecResult/CarRecognition",
		"BodyRecognition/BodyInfo", "PetRecognition/PetInfo", "CarRecognition/CarInfo",
		"VideoTargetRecResult/FaceRecognition", "FaceRecognition/FaceInfo", // Go SDK VideoTargetRecResult
		"VideoTargetRecResult/LicenseRecognitionResult", "LicenseRecognitionResult/PlateInfo", // the same
		"VqaPlusResult/DetailedResult", "DetailedResult/Items", "Items/AreaCoordSet", // Go SDK QualityEstimate
		"Detection/MatchDetail", "Detection/TextDetections", "ImageOcrResult/TextDetections", // Go SDK DnaResultDetection, ImageOCRDetection
		"TextDetections/Polygon", "TextDetections/ItemPolygon", "TextDetections/Words", "TextDetections/WordPolygon",

		// Documents and files.
		"DocProcessResult/PageInfo",                              // query of a document job, sample
		"FileCompressConfig/Key", "FileCompressConfig/KeyConfig", // Go SDK FileCompressConfig
		"DownloadConfig/Key",    // Go SDK FileUncompressDownloadConfig
		"ErrorDetail/ErrorFile", // Go SDK ErrorDetail

		// Reviews, cb of each kind: Array, Container Array, String Array.
		"JobsDetail/Section", "JobsDetail/Snapshot", "JobsDetail/AudioSection",
		"PageSegment/Results", "ImageResults/Results", "TextResults/Results",
		"OcrResults/Keywords", "LibResults/Keywords", "ListInfo/ListResults",
		"DetectDetail/Result",                                                                   // https://cloud.tencent.com/document/product/460/108590
		"HitInfos/Positions",                                                                    // Go SDK TextHitInfo
		"JobsDetail/LanguageResults", "Section/LanguageResults", "AudioSection/LanguageResults": // Go SDK AudioAuditingJobDetail
		return true
	}
	switch n.name {
	case "OcrResults", "LibResults", // cb of the reviews: Array
		"Keywords",                                                          // cb of audio reviews: Array; of text reviews one text, which looks the same in XML
		"ObjectResults", "HitInfos", "SpeakerResults", "RecognitionResults": // Go SDK RecognitionInfo, TextRecognitionInfo
		return strings.HasSuffix(parent, "Info") // PornInfo, AdsInfo, …
	case "CosHeaders":
		// cb of the jobs: Container array of Key and Value. In reviews it is a map.
		return n.has("Key", "Value")
	}
	return false
}
