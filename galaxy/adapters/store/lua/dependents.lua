-- Needs: BASE_IMAGES, version_prefix, dependents_prefix

-- Keeps an app among the dependents of the base images that its newest and its active version are built on, and of
-- no others. One that gets its first dependent is checked at once; one that lost its last is forgotten by
-- take_checks.lua.
local function index_dependent(app, app_key)
  local last, active, before = unpack(redis.call('HMGET', app_key, 'last', 'active', 'base_images'))
  local names, is = {}, {}
  for _, number in ipairs({last, active or last}) do
    local image = redis.call('HGET', version_prefix .. app .. ':' .. number, 'base_reference')
    if image and image ~= '' and not is[image] then
      is[image] = true
      table.insert(names, image)
    end
  end
  local now = table.concat(names, ' ')
  if now == before then return end
  for image in string.gmatch(before or '', '%S+') do
    if not is[image] then redis.call('ZREM', dependents_prefix .. image, app) end
  end
  for _, image in ipairs(names) do
    redis.call('ZADD', dependents_prefix .. image, 0, app)
    redis.call('ZADD', BASE_IMAGES, 'NX', ms(now_ms()), image)
  end
  redis.call('HSET', app_key, 'base_images', now)
end
