-- Takes base images whose check is due, and hides each from other pollers for a while: one request, whoever polls.
-- KEYS: BASE_IMAGES, UPDATES
-- ARGV: limit, lease_ms, rate, burst, only, dependents_prefix, base_image_prefix, budget_prefix, update_prefix,
--   handed_out_prefix, late_prefix, ahead_prefix
--   rate: tokens a second; burst: most tokens; only: one base image to take now, or ''.
-- Returns {base image, token, digest, platform digest, content, unchanged, errors} for each. With `only`, an empty list
-- stands for an unknown base image, and {base image, '', wait (ms), 'being_checked' or 'budget'} for one that can't be
-- taken now.
local BASE_IMAGES, UPDATES = unpack(KEYS)
local limit, lease_ms, rate, burst, only, dependents_prefix, base_image_prefix, budget_prefix, update_prefix,
  handed_out_prefix, late_prefix, ahead_prefix = unpack(ARGV)
-- include: budget.lua
local now = now_ms()
local reply, waiting = {}, {}

local function forget(image)
  redis.call('ZREM', BASE_IMAGES, image)
  redis.call('ZREM', UPDATES, image)
  for _, prefix in ipairs({base_image_prefix, update_prefix, handed_out_prefix, late_prefix, ahead_prefix}) do
    redis.call('UNLINK', prefix .. image)
  end
end

local images = {only}
if only == '' then
  images = redis.call('ZRANGEBYSCORE', BASE_IMAGES, '-inf', now, 'LIMIT', 0, limit)
elseif not redis.call('ZSCORE', BASE_IMAGES, only) then
  images = {}
end
for _, image in ipairs(images) do
  local record = base_image_prefix .. image
  local held = tonumber(redis.call('HGET', record, 'lease_until') or '0') - now
  if redis.call('ZCARD', dependents_prefix .. image) == 0 then
    forget(image)
  elseif held > 0 then
    if only ~= '' then table.insert(reply, {image, '', ms(held), 'being_checked'}) end
    redis.call('ZADD', BASE_IMAGES, ms(now + held), image)
  else
    local host = string.match(image, '^[^/]+')
    local wait = take_token(budget_prefix .. host, tonumber(rate), tonumber(burst), waiting[host] or 0)
    if wait > 0 then
      waiting[host] = (waiting[host] or 0) + 1
      if only ~= '' then
        table.insert(reply, {image, '', ms(wait), 'budget'})
      else
        redis.call('ZADD', BASE_IMAGES, ms(now + wait), image)
      end
    else
      redis.call('ZADD', BASE_IMAGES, ms(now + lease_ms), image)
      local token = redis.call('HINCRBY', record, 'token', 1)
      redis.call('HSET', record, 'lease_until', ms(now + lease_ms), 'asked_at', ms(now))
      local known = redis.call('HMGET', record, 'digest', 'platform_digest', 'content', 'unchanged', 'errors')
      table.insert(reply, {image, ms(token), known[1] or '', known[2] or '', known[3] or '',
        known[4] or '0', known[5] or '0'})
    end
  end
end
return reply
