-- Records what a check of a base image found. A changed content begins an update in the same step: a digest is never
-- saved without the work that it causes.
-- KEYS: BASE_IMAGES, BASE_IMAGE, UPDATE, UPDATES, HANDED_OUT, LATE, DEPENDENTS, PLATFORMS, BUDGET, AHEAD
-- ARGV: image, token, next_check_in_ms, pause_ms, error_text, digest, platform_digest, content, more_requests
--   pause_ms: how long the registry wants no requests; error_text: why the check failed, or '', and then there is a
--   digest and a content; platform_digest may be ''; more_requests: how many were made besides the first.
-- Returns 'stale' (another poller has taken it since), 'failed', 'unchanged' or 'changed'; a repeated call is 'stale' too.
local BASE_IMAGES, BASE_IMAGE, UPDATE, UPDATES, HANDED_OUT, LATE, DEPENDENTS, PLATFORMS, BUDGET, AHEAD = unpack(KEYS)
local image, token, next_check_in_ms, pause_ms, error_text, digest, platform_digest, content, more_requests = unpack(ARGV)
local current, lease_until, known_digest, known_content, asked_at = unpack(
  redis.call('HMGET', BASE_IMAGE, 'token', 'lease_until', 'digest', 'content', 'asked_at'))
if current ~= token or not lease_until then return 'stale' end
local now = now_ms()
redis.call('HDEL', BASE_IMAGE, 'lease_until')
if redis.call('ZSCORE', BASE_IMAGES, image) then
  redis.call('ZADD', BASE_IMAGES, ms(now + next_check_in_ms), image)
end
redis.call('HSET', BASE_IMAGE, 'checked_at', ms(now))
if tonumber(more_requests) > 0 then redis.call('HINCRBYFLOAT', BUDGET, 'tokens', -more_requests) end
if tonumber(pause_ms) > 0 then
  redis.call('HSET', BUDGET, 'paused_until', ms(now + pause_ms))
  redis.call('PEXPIRE', BUDGET, ms(pause_ms + 86400000))
end
if error_text ~= '' then
  redis.call('HINCRBY', BASE_IMAGE, 'errors', 1)
  redis.call('HSET', BASE_IMAGE, 'error', error_text)
  return 'failed'
end

redis.call('HDEL', BASE_IMAGE, 'error', 'errors')
redis.call('HSET', BASE_IMAGE, 'seen_at', asked_at)
if platform_digest ~= '' then
  redis.call('HSET', PLATFORMS, digest, platform_digest)
  redis.call('HSET', BASE_IMAGE, 'platform_digest', platform_digest)
end
if known_digest == digest then
  redis.call('HINCRBY', BASE_IMAGE, 'unchanged', 1)
else
  redis.call('HSET', BASE_IMAGE, 'digest', digest, 'unchanged', 0, 'changed_at', ms(now))
end
if known_content == content then
  -- what is built from now on is this digest, though it holds nothing new for us
  redis.call('HSET', UPDATE, 'digest', digest)
  if redis.call('EXISTS', AHEAD) == 1 then
    -- apps that had looked the tag up after the last check did; now this one was later
    redis.call('ZUNIONSTORE', LATE, 2, LATE, AHEAD)
    redis.call('UNLINK', AHEAD)
    redis.call('ZADD', UPDATES, ms(now), image)
  end
  return 'unchanged'
end
redis.call('HSET', BASE_IMAGE, 'content', content)
-- This ends the update before, whatever is left of it: it is about a digest that is not wanted any more.
redis.call('UNLINK', UPDATE, HANDED_OUT, LATE, AHEAD)
redis.call('HSET', UPDATE, 'number', redis.call('HINCRBY', BASE_IMAGE, 'updates', 1), 'state', 'running',
  'digest', digest, 'content', content, 'dependents', redis.call('ZCARD', DEPENDENTS), 'started_at', ms(now))
redis.call('ZADD', UPDATES, ms(now), image)
return 'changed'
