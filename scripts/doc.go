// Package scripts holds what builds, deploys and tries out the function; there is no Go to import. What is tested here
// is the shell: what build.sh and deploy.sh do, and that serverless.yml and template.yaml keep to the platform's rules.
//
//	build.sh    dist/ci-callback.zip and dist/function, the same bytes for the same commit
//	deploy.sh   build, check the variables, deploy, print the callback URL
//	zip         writes the zip for build.sh
package scripts
