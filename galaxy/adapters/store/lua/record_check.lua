-- What a check of a base image found. A changed content begins an update in the same step: a digest is never saved
-- without the work that it causes. KEYS 1: base images, 2: record, 3: update, 4: updates, 5: handed out, 6: late,
-- 7: dependents, 8: platforms, 9: budget of the host, 10: ahead.
-- ARGV 1: base image, 2: token, 3: next check in (ms), 4: error or '', 5: pause of the host (ms), 6: digest,
-- 7: platform digest or '', 8: content, 9: how many requests were made besides the first.
-- Returns 'stale' (another poller has taken it since), 'failed', 'unchanged' or 'changed'; a repeated call is 'stale' too.
local image, token, error_text, digest, content = ARGV[1], ARGV[2], ARGV[4], ARGV[6], ARGV[8]
local known = redis.call('HMGET', KEYS[2], 'token', 'lease_until', 'digest', 'content', 'asked_at')
if known[1] ~= token or not known[2] then return 'stale' end
local now = now_ms()
redis.call('HDEL', KEYS[2], 'lease_until')
if redis.call('ZSCORE', KEYS[1], image) then redis.call('ZADD', KEYS[1], ms(now + ARGV[3]), image) end
redis.call('HSET', KEYS[2], 'checked_at', ms(now))
if tonumber(ARGV[9]) > 0 then redis.call('HINCRBYFLOAT', KEYS[9], 'tokens', -ARGV[9]) end
if tonumber(ARGV[5]) > 0 then
  redis.call('HSET', KEYS[9], 'paused_until', ms(now + ARGV[5]))
  redis.call('PEXPIRE', KEYS[9], ms(ARGV[5] + 86400000))
end
if error_text ~= '' then
  redis.call('HINCRBY', KEYS[2], 'errors', 1)
  redis.call('HSET', KEYS[2], 'error', error_text)
  return 'failed'
end

redis.call('HDEL', KEYS[2], 'error', 'errors')
redis.call('HSET', KEYS[2], 'seen_at', known[5])
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[8], digest, ARGV[7])
  redis.call('HSET', KEYS[2], 'platform_digest', ARGV[7])
end
if known[3] == digest then
  redis.call('HINCRBY', KEYS[2], 'unchanged', 1)
else
  redis.call('HSET', KEYS[2], 'digest', digest, 'unchanged', 0, 'changed_at', ms(now))
end
if known[4] == content then
  -- what is built from now on is this digest, though it holds nothing new for us
  redis.call('HSET', KEYS[3], 'digest', digest)
  if redis.call('EXISTS', KEYS[10]) == 1 then
    -- apps that had looked the tag up after the last check did; now this one was later
    redis.call('ZUNIONSTORE', KEYS[6], 2, KEYS[6], KEYS[10])
    redis.call('UNLINK', KEYS[10])
    redis.call('ZADD', KEYS[4], ms(now), image)
  end
  return 'unchanged'
end
redis.call('HSET', KEYS[2], 'content', content)
-- This ends the update before, whatever is left of it: it is about a digest that is not wanted any more.
redis.call('UNLINK', KEYS[3], KEYS[5], KEYS[6], KEYS[10])
redis.call('HSET', KEYS[3], 'number', redis.call('HINCRBY', KEYS[2], 'updates', 1), 'state', 'running',
  'digest', digest, 'content', content, 'dependents', redis.call('ZCARD', KEYS[7]), 'started_at', ms(now))
redis.call('ZADD', KEYS[4], ms(now), image)
return 'changed'
